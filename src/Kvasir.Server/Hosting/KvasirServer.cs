using System.Globalization;
using System.Net;
using System.Runtime.InteropServices;
using Kvasir.Cluster.Nodes;
using Kvasir.Server.Metrics;
using Kvasir.Storage.Files;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;

namespace Kvasir.Server.Hosting;

/// <summary>A server as a program runs it: opens the node, serves, and stops cleanly on a signal or on SHUTDOWN.</summary>
public static class KvasirServer
{
    private const string ProcessIdFile = "kvasir.pid";

    // A collector that does not answer must not hold up a stop.
    private const int ExportPatienceMs = 2000;

    private static string OwnNumber => Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n";

    // An election takes less than this: whoever cannot hand over by then lets the others elect.
    private static readonly TimeSpan s_handOverPatience = TimeSpan.FromSeconds(1);

    // Replies that take longer wait for more than a stop should.
    private static readonly TimeSpan s_finishPatience = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Runs until cancelled, signalled or told to stop; everything is on disk when it returns 0, unless the log says that the
    /// disk had failed. 1: the data folder is not where it was, so nothing could be said of what is there. What stands in the way of
    /// a start, or comes of a cluster that does not let the node in, is a <see cref="StartupException"/> with one line.
    /// </summary>
    /// <param name="options">What to serve.</param>
    /// <param name="world">The disk, threads and engines to use.</param>
    /// <param name="logging">Where log lines go.</param>
    /// <param name="started">Called once it serves, with the addresses as bound.</param>
    /// <param name="lost">
    /// Called when the data could not be opened again (DEBUG RELOAD): ends the process, and does not return. Nothing is
    /// served meanwhile.
    /// </param>
    /// <param name="cancellation">Stops it.</param>
    public static async Task<int> RunAsync(
        ServerOptions options,
        NodeEnvironment world,
        ILoggerFactory logging,
        Action<BoundAddresses>? started,
        Action<StorageException> lost,
        CancellationToken cancellation)
    {
        ILogger logger = logging.CreateLogger("Kvasir.Server");
        foreach (string name in options.UnknownVariables)
            HostLog.UnknownVariable(logger, name);
        if (options.MemoryBytes < MemoryShares.SmallestBytes)
        {
            long expected = MemoryShares.ReservedBytes + MemoryShares.EngineBytes(options.MemoryBytes);
            HostLog.SmallMemory(logger, options.MemoryBytes >> 20, expected >> 20, MemoryShares.SmallestBytes >> 20);
        }

        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        using PosixSignalRegistration terminate = OnSignal(PosixSignal.SIGTERM, stop);
        using PosixSignalRegistration interrupt = OnSignal(PosixSignal.SIGINT, stop);
        using PosixSignalRegistration? hangUp = HangUpSignal.IsIgnored() ? null : OnSignal(PosixSignal.SIGHUP, stop);
        if (cancellation.IsCancellationRequested)
            return 0;

        // Before anything is made: a start that is refused leaves no folder behind.
        ServerCertificates? certificates = options.Tls is { } tls ? new ServerCertificates(tls, world.Scheduler.Time, logger) : null;
        using OpenedNode opened = OpenedNode.Open(options, world, logging);
        string processIdPath = Path.Combine(options.DataFolder, ProcessIdFile);

        // Before anybody is served: who has an answer may want to know whose it was.
        await WriteProcessId(processIdPath, logger);
        await using RespServer server = await Serve();
        using var heap = new HeapTrim(world.Scheduler.Time, MemoryShares.HeapBytes);
        using MeterProvider? exporter = StartExport(options);
        started?.Invoke(new BoundAddresses(server.Resp, server.RespTls, server.Http));
        using CancellationTokenSource any = CancellationTokenSource.CreateLinkedTokenSource(stop.Token, server.ShutdownRequested);
        TaskCompletionSource stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using CancellationTokenRegistration registration = any.Token.Register(() => stopped.TrySetResult());
        Task<string> turnedAway = opened.TurnedAway;
        await Task.WhenAny(stopped.Task, turnedAway);
        HostLog.Stopping(logger, turnedAway.IsCompleted ? "the cluster will not have it" : server.ShutdownRequested.IsCancellationRequested ? "a client asked for it" : "told to");

        // Before the server goes, and its instruments with it, what was counted last is sent.
        exporter?.Shutdown(ExportPatienceMs);
        await opened.HandOver(s_handOverPatience);

        // Whoever leads now answers what this node's clients had sent; only then do they hear that it goes.
        await server.Finish(s_finishPatience);
        await server.DisposeAsync();
        bool failed = server.State.LogFailures.Current;
        opened.Dispose();
        string? loss = opened.Node.LookForFolder();
        if (loss is null)
            DeleteProcessId(processIdPath, logger);
        if (loss is not null)
            HostLog.StoppedWithoutFolder(logger, loss);
        else if (failed || server.State.LogFailures.Current)
            HostLog.StoppedInDoubt(logger);
        else
            HostLog.Stopped(logger);
        if (turnedAway.IsCompleted && !stopped.Task.IsCompleted)
            throw new StartupException(await turnedAway);
        return loss is null ? 0 : 1;

        async Task<RespServer> Serve()
        {
            try
            {
                return await RespServer.Start(opened.Node, options, world.Files, certificates, logging, lost);
            }
            catch
            {
                DeleteProcessId(processIdPath, logger);
                throw;
            }
        }
    }

    // A server whose disk is full serves reads, and takes deletions: it may not fail for want of a place for its number.
    private static async Task WriteProcessId(string path, ILogger logger)
    {
        string making = path + ".new";
        try
        {
            try
            {
                // Whole from the first moment on: the last one, killed, may have left its own there.
                await File.WriteAllTextAsync(making, OwnNumber, CancellationToken.None);
                File.Move(making, path, overwrite: true);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // That of the last one goes in any case, it may be another process by now; and leaves its place on a full disk.
                File.Delete(path);
                File.Delete(making);
                await File.WriteAllTextAsync(path, OwnNumber, CancellationToken.None);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            HostLog.ProcessIdNotWritten(logger, path, e.Message);
        }
    }

    // All data is saved by now: a stop has not failed because the folder can be read only. Another server may have the folder already.
    private static void DeleteProcessId(string path, ILogger logger)
    {
        try
        {
            if (File.Exists(path) && File.ReadAllText(path) == OwnNumber)
                File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            HostLog.ProcessIdNotDeleted(logger, path, e.Message);
        }
    }

    private static PosixSignalRegistration OnSignal(PosixSignal signal, CancellationTokenSource stop) =>
        PosixSignalRegistration.Create(signal, context =>
        {
            context.Cancel = true;
            stop.Cancel();
        });

    private static MeterProvider? StartExport(ServerOptions options)
    {
        if (options.OtlpEndpoint is not { } endpoint)
            return null;
        return Sdk.CreateMeterProviderBuilder().AddMeter(ServerMeter.Name).AddOtlpExporter(o =>
        {
            o.Protocol = options.OtlpOverHttp ? OtlpExportProtocol.HttpProtobuf : OtlpExportProtocol.Grpc;

            // Only where the address is configured outside of code does the exporter itself add the path of the signal.
            bool bare = options.OtlpOverHttp && endpoint.AbsolutePath is "/" or "";
            o.Endpoint = bare ? new Uri(endpoint, "/v1/metrics") : endpoint;
        }).Build();
    }
}

/// <param name="Resp">Plain RESP, as bound.</param>
/// <param name="RespTls">RESP over TLS, as bound.</param>
/// <param name="Http">Health and metrics, as bound.</param>
public sealed record BoundAddresses(IReadOnlyList<IPEndPoint> Resp, IReadOnlyList<IPEndPoint> RespTls, IPEndPoint? Http);
