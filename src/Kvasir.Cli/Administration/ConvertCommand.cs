using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Shell;
using Kvasir.Wire.Resp;
using Spectre.Console;

namespace Kvasir.Cli.Administration;

/// <summary>
/// <c>kvasir keyspace convert</c>: has a keyspace moved to another engine, shows how far that is, and ends it when it is ended itself.
/// </summary>
internal static class ConvertCommand
{
    // Of an operation of minutes: often enough to be watched, and nothing for the server.
    private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(200);

    // Between two plain lines.
    private static readonly TimeSpan s_lineInterval = TimeSpan.FromSeconds(2);

    public static Command Create()
    {
        Argument<string> name = new("NAME") { Description = "Of the keyspace; db0, db1 ... are the databases." };
        Option<string?> engine = CommandFlag.Text("--engine", "NAME", "The engine that it is to have: lsm, log or btree.");
        Command command = new("convert", "Move a keyspace to another engine while it is served. Ctrl-C ends it and leaves the keyspace as it was.") { name, engine };
        ServerFlags flags = ServerFlags.AddTo(command);
        command.SetAction(async (result, cancellation) =>
        {
            string wanted = result.GetValue(engine) ?? throw new UsageException("say which engine: --engine lsm, --engine log or --engine btree");
            using NodeConnection connection = flags.Open(result);
            return await Run(connection, result.GetValue(name)!, wanted, flags.Json(result), cancellation);
        });
        return command;
    }

    private static async Task<int> Run(NodeConnection connection, string name, string engine, bool json, CancellationToken cancellation)
    {
        connection.Call("KEYSPACE", "CONVERT", name, "engine", engine);
        ConversionAnswer? end = null;
        if (json)
        {
            end = await Watch(connection, name, static _ => { }, cancellation);
        }
        else if (Console.IsOutputRedirected)
        {
            DateTime told = DateTime.MinValue;
            end = await Watch(connection, name, status =>
            {
                if (DateTime.UtcNow - told < s_lineInterval)
                    return;
                told = DateTime.UtcNow;
                Console.WriteLine(LineOf(status));
            }, cancellation);
        }
        else
        {
            await AnsiConsole.Progress().AutoClear(true).HideCompleted(true).StartAsync(async context =>
            {
                ProgressTask bar = context.AddTask($"{name} to {engine}", maxValue: 1);
                end = await Watch(connection, name, status =>
                {
                    bar.Value = status.Part;
                    bar.Description = Markup.Escape(LineOf(status));
                }, cancellation);
            });
        }

        Console.WriteLine(json ? Json(end!) : EndOf(end!));
        return end!.IsDone ? ExitCode.Success : ExitCode.Negative;
    }

    private static async Task<ConversionAnswer> Watch(NodeConnection connection, string name, Action<ConversionAnswer> show, CancellationToken cancellation)
    {
        bool aborted = false;
        while (true)
        {
            if (cancellation.IsCancellationRequested && !aborted)
            {
                aborted = true;
                Abort(connection, name);
            }

            RespReply reply = connection.Call("KEYSPACE", "CONVERT", name, "STATUS");
            if (reply.Kind == RespReplyKind.Null)
                throw new RefusedException("the server knows of no conversion any more: it was started again, and the keyspace has the engine that it had");
            ConversionAnswer status = ConversionAnswer.Of(reply);
            if (status.IsOver)
                return status;
            show(status);
            await Task.Delay(s_interval, CancellationToken.None);
        }
    }

    // It may have ended meanwhile: how, its status says.
    private static void Abort(NodeConnection connection, string name)
    {
        try
        {
            connection.Call("KEYSPACE", "CONVERT", name, "ABORT");
        }
        catch (RefusedException)
        {
        }
    }

    private static string Json(ConversionAnswer status) => JsonSerializer.Serialize(new
    {
        keyspace = status.Keyspace,
        from = status.From,
        to = status.To,
        state = status.State,
        rows = status.Rows,
        bytes = status.Bytes,
        checksum = status.Checksum,
        reason = status.Reason,
        elapsed_ms = status.ElapsedMilliseconds,
        copies = status.Copies,
        copies_done = status.CopiesDone,
    });

    private static string LineOf(ConversionAnswer status) => string.Create(
        CultureInfo.InvariantCulture,
        $"{status.Keyspace} from {status.From} to {status.To}: {status.State}, {100 * status.Part:0}%, {status.Rows} rows ({Megabytes(status.Bytes)}) copied, {status.RowsCompared} compared, {Megabytes(status.LogBytesBehind)} of log to go{CopiesOf(status)}");

    /// <summary>Of a cluster: how many of its copies are done, and what holds up others.</summary>
    private static string CopiesOf(ConversionAnswer status)
    {
        if (status.Copies is not { } copies)
            return "";
        IReadOnlyList<string> waits = status.WaitsFor;
        string waitsFor = waits.Count == 0 ? "" : "; waits for " + waits[0] + (waits.Count == 1 ? "" : string.Create(CultureInfo.InvariantCulture, $", and {waits.Count - 1} more"));
        return string.Create(CultureInfo.InvariantCulture, $"; {status.CopiesDone} of {copies} copies done{waitsFor}");
    }

    private static string EndOf(ConversionAnswer status) => status.IsDone
        ? string.Create(
            CultureInfo.InvariantCulture,
            $"{status.Keyspace} has the engine {status.To}: {status.Rows} rows ({Megabytes(status.Bytes)}) copied in {(status.ElapsedMilliseconds ?? 0) / 1000.0:0.0} s; checksum of both, {status.Checksum}")
        : $"{status.Keyspace} has the engine {status.From} as before: {status.Reason}";

    private static string Megabytes(long? bytes) => string.Create(CultureInfo.InvariantCulture, $"{(bytes ?? 0) / 1e6:0.0} MB");
}
