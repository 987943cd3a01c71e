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
        RespReply? end = null;
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
                    bar.Value = PartOf(status);
                    bar.Description = Markup.Escape(LineOf(status));
                }, cancellation);
            });
        }

        ReplyFields fields = new(end!);
        if (json)
            Console.WriteLine(Json(fields));
        else
            Console.WriteLine(EndOf(fields));
        return fields.Text("state") == "done" ? ExitCode.Success : ExitCode.Negative;
    }

    private static async Task<RespReply> Watch(NodeConnection connection, string name, Action<ReplyFields> show, CancellationToken cancellation)
    {
        bool aborted = false;
        while (true)
        {
            if (cancellation.IsCancellationRequested && !aborted)
            {
                aborted = true;
                Abort(connection, name);
            }

            RespReply status = connection.Call("KEYSPACE", "CONVERT", name, "STATUS");
            if (status.Kind == RespReplyKind.Null)
                throw new RefusedException("the server knows of no conversion any more: it was started again, and the keyspace has the engine that it had");
            ReplyFields fields = new(status);
            if (fields.Text("state") is "done" or "failed" or "aborted")
                return status;
            show(fields);
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

    /// <summary>Of the whole: three walks over all rows, of which copying is one; of a cluster, the copies that are done.</summary>
    private static double PartOf(ReplyFields status)
    {
        if (status.Number("copies") is { } copies)
            return Math.Min(0.99, (double)(status.Number("copies-done") ?? 0) / Math.Max(1, copies));
        double rows = Math.Max(1, Math.Max(status.Number("rows-estimated") ?? 0, status.Number("rows") ?? 0));
        double done = ((status.Number("rows") ?? 0) + (status.Number("rows-compared") ?? 0)) / (3 * rows);
        return Math.Min(0.99, done);
    }

    private static string Json(ReplyFields status) => JsonSerializer.Serialize(new
    {
        keyspace = status.Text("keyspace"),
        from = status.Text("from"),
        to = status.Text("to"),
        state = status.Text("state"),
        rows = status.Number("rows"),
        bytes = status.Number("bytes"),
        checksum = status.Text("checksum"),
        reason = status.Text("reason"),
        elapsed_ms = status.Number("elapsed-ms"),
        copies = status.Number("copies"),
        copies_done = status.Number("copies-done"),
    });

    private static string LineOf(ReplyFields status) => string.Create(
        CultureInfo.InvariantCulture,
        $"{status.Text("keyspace")} from {status.Text("from")} to {status.Text("to")}: {status.Text("state")}, {100 * PartOf(status):0}%, {status.Number("rows")} rows ({Megabytes(status.Number("bytes"))}) copied, {status.Number("rows-compared")} compared, {Megabytes(status.Number("log-bytes-behind"))} of log to go{CopiesOf(status)}");

    /// <summary>Of a cluster: how many of its copies are done, and what holds up others.</summary>
    private static string CopiesOf(ReplyFields status)
    {
        if (status.Number("copies") is not { } copies)
            return "";
        IReadOnlyList<string> waits = status.Texts("waits-for");
        string waitsFor = waits.Count == 0 ? "" : "; waits for " + waits[0] + (waits.Count == 1 ? "" : string.Create(CultureInfo.InvariantCulture, $", and {waits.Count - 1} more"));
        return string.Create(CultureInfo.InvariantCulture, $"; {status.Number("copies-done")} of {copies} copies done{waitsFor}");
    }

    private static string EndOf(ReplyFields status) => status.Text("state") == "done"
        ? string.Create(
            CultureInfo.InvariantCulture,
            $"{status.Text("keyspace")} has the engine {status.Text("to")}: {status.Number("rows")} rows ({Megabytes(status.Number("bytes"))}) copied in {(status.Number("elapsed-ms") ?? 0) / 1000.0:0.0} s; checksum of both, {status.Text("checksum")}")
        : $"{status.Text("keyspace")} has the engine {status.Text("from")} as before: {status.Text("reason")}";

    private static string Megabytes(long? bytes) => string.Create(CultureInfo.InvariantCulture, $"{(bytes ?? 0) / 1e6:0.0} MB");
}
