using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Shell;
using Kvasir.Primitives;
using Kvasir.Storage.Machine;

namespace Kvasir.Cli.Bench.Servers;

/// <summary>Connects the clients of one run, drives them, and gathers what they measured.</summary>
internal static partial class LoadRun
{
    // Between two looks at the clock in an open loop: short against any latency worth measuring.
    private const int PaceMicroseconds = 50;

    // Depth of the pipeline while keys are loaded, which nobody measures.
    private const int LoadPipeline = 128;

    // After it was told to end; what was asked is waited for until then.
    private static readonly TimeSpan s_replyPatience = TimeSpan.FromSeconds(1);

    /// <summary>Sets every key once.</summary>
    public static async Task Load(LoadOptions options, CancellationToken cancellation)
    {
        LoadOptions loading = options with
        {
            Requests = options.Keys,
            Duration = TimeSpan.Zero,
            Rate = 0,
            Pipeline = options.Etcd ? 1 : LoadPipeline,
        };
        await Measure(loading, loading: true, cancellation);
    }

    public static Task<LoadReport> Measure(LoadOptions options, CancellationToken cancellation) =>
        Measure(options, loading: false, cancellation);

    private static async Task<LoadReport> Measure(LoadOptions options, bool loading, CancellationToken cancellation)
    {
        int most = OpenFileShares.Of(engines: 1, http: 0).Clients;
        if (options.Clients > most)
            throw new UsageException($"{options.Clients} clients are more than the {most} for which this process may open files (ulimit -n)");
        var workload = new LoadWorkload(options, loading);
        using var tally = new LoadTally();
        var connections = new List<LoadConnection>();
        try
        {
            // Workloads run one after the other must not ask for each other's keys in the same order.
            var random = new SeededRandom(StableHash.Hash64(Encoding.UTF8.GetBytes(options.Workload), options.Seed));
            for (int i = 0; i < options.Clients; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                connections.Add(Connect(options, options.Addresses[i % options.Addresses.Count], workload, tally, random.Fork()));
            }

            using CancellationTokenRegistration ending = cancellation.Register(() => _ = GiveUpLater(connections));
            long begun = Stopwatch.GetTimestamp();
            using var meter = new RateMeter(() => tally.Completed, () => loading ? "loading" : options.Workload);
            await (options.Rate > 0
                ? RunOpen(options, connections, begun, cancellation)
                : RunClosed(options, connections, begun, cancellation));
            double seconds = Stopwatch.GetElapsedTime(begun).TotalSeconds;
            meter.Dispose();
            if (loading && tally.Errors > 0)
                throw new UsageException($"loading failed: {tally.FirstError}");
            return LoadReport.From(options, tally, seconds, meter.WorstSecond, cancellation.IsCancellationRequested);
        }
        catch (Exception e) when (cancellation.IsCancellationRequested && e is IOException or SocketException)
        {
            throw new OperationCanceledException("the server did not answer before the end", e, cancellation);
        }
        finally
        {
            foreach (LoadConnection connection in connections)
                connection.Dispose();
        }
    }

    private static async Task GiveUpLater(List<LoadConnection> connections)
    {
        await Task.Delay(s_replyPatience);
        foreach (LoadConnection connection in connections)
            connection.GiveUp();
    }

    private static LoadConnection Connect(LoadOptions options, HostPort address, LoadWorkload workload, LoadTally tally, SeededRandom random)
    {
        RespConnection opened = RespConnection.Open(address);
        try
        {
            if (options.Password is not null)
                opened.Greet(options.Password);
        }
        catch
        {
            opened.Dispose();
            throw;
        }

        opened.Socket.Blocking = options.Rate == 0;
        ILoadProtocol protocol = options.Etcd ? new EtcdLoadProtocol(address.ToString()) : RespLoadProtocol.Instance;
        return new LoadConnection(opened.Socket, protocol, workload, tally, random, options.Rate > 0 ? 0 : options.Pipeline);
    }

    private static async Task RunClosed(
        LoadOptions options, List<LoadConnection> connections, long begun, CancellationToken cancellation)
    {
        long left = options.Requests > 0 ? options.Requests : long.MaxValue;
        long end = options.Requests > 0 ? long.MaxValue : begun + Ticks(options.Duration);
        int Claim(int wanted)
        {
            if (cancellation.IsCancellationRequested || Stopwatch.GetTimestamp() >= end)
                return 0;
            long after = Interlocked.Add(ref left, -wanted);
            return (int)Math.Clamp(after + wanted, 0, wanted);
        }

        await Task.WhenAll(connections.Select(c => Task.Run(() => c.RunClosed(options.Pipeline, Claim))));
    }

    private static async Task RunOpen(
        LoadOptions options, List<LoadConnection> connections, long begun, CancellationToken cancellation)
    {
        long requests = options.Requests > 0 ? options.Requests : (long)(options.Rate * options.Duration.TotalSeconds);
        double ticksEach = Stopwatch.Frequency / (double)options.Rate;
        bool finished = false;
        Task[] receivers = [.. connections.Select(c => Task.Run(() => c.RunOpen(() => Volatile.Read(ref finished))))];
        var pacer = new TaskCompletionSource();
        var thread = new Thread(() =>
        {
            try
            {
                Pace();
                pacer.SetResult();
            }
            catch (Exception e)
            {
                pacer.SetException(e);
            }
        })
        { IsBackground = true, Name = "pacer" };
        thread.Start();

        // Whoever fails first ends the run; the rest end with their sockets.
        List<Task> all = [pacer.Task, .. receivers];
        while (!pacer.Task.IsCompleted)
        {
            Task first = await Task.WhenAny(all);
            await first;
            all.Remove(first);
        }

        // A receiver whose last reply came before the end was declared waits for bytes that will not come: the pacer saw
        // every connection idle, so the run is over, and closing the sockets ends the receivers.
        void Pace()
        {
            long next = 0;
            while (next < requests && !cancellation.IsCancellationRequested)
            {
                long now = Stopwatch.GetTimestamp();
                while (next < requests)
                {
                    long due = begun + (long)(next * ticksEach);
                    if (due > now || !connections[(int)(next % connections.Count)].Offer(due))
                        break;
                    next++;
                }

                foreach (LoadConnection connection in connections)
                    connection.FlushOffered();
                Nap();
            }

            Volatile.Write(ref finished, true);
            while (!connections.TrueForAll(c => c.Idle))
            {
                foreach (LoadConnection connection in connections)
                    connection.FlushOffered();
                if (cancellation.IsCancellationRequested)
                    return;
                Nap();
            }
        }
    }

    private static long Ticks(TimeSpan time) => (long)(time.TotalSeconds * Stopwatch.Frequency);

    /// <summary>Thread.Sleep knows whole milliseconds only, which would show up in every latency.</summary>
    private static void Nap()
    {
        if (OperatingSystem.IsWindows())
        {
            Thread.Sleep(1);
            return;
        }

        var time = new TimeSpec { Nanoseconds = PaceMicroseconds * 1000 };
        _ = NanoSleep(in time, IntPtr.Zero);
    }

    [LibraryImport("libc", EntryPoint = "nanosleep")]
    private static partial int NanoSleep(in TimeSpec time, IntPtr remaining);

    [StructLayout(LayoutKind.Sequential)]
    private struct TimeSpec
    {
        public nint Seconds;
        public nint Nanoseconds;
    }
}
