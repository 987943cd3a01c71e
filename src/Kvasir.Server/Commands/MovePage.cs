using System.Globalization;
using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Directory;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>How far a keyspace of a cluster is with its move to another engine: the fields of a node that is alone, of all copies together, and each copy.</summary>
internal static class MovePage
{
    private const string Waiting = "waiting";

    // Copies tell of themselves twice a second: before that, silence says nothing.
    private const long TellingMs = 2000;

    public static void Write(RespWriter reply, MoveOverview? overview, long nowMs)
    {
        if (overview is null)
        {
            reply.Null();
            return;
        }

        KeyspaceMove move = overview.Move;
        MoveReport[] reports = [.. overview.Copies.Select(static c => c.Report).OfType<MoveReport>()];
        bool isOver = !move.IsUnderWay;
        int copies = isOver ? move.Copies : overview.Copies.Count;
        int compared = isOver ? move.Compared : reports.Count(static r => r.Stage == ConversionStage.Done);
        int done = isOver ? copies : overview.Copies.Count(c => IsDone(c, move));
        reply.MapHeader(16);
        Field(reply, "keyspace", overview.Keyspace);
        Field(reply, "from", move.From);
        Field(reply, "to", move.To);
        Field(reply, "state", StateOf(overview));
        Field(reply, "rows", isOver ? move.Rows : reports.Sum(static r => r.Rows));
        Field(reply, "bytes", isOver ? move.Bytes : reports.Sum(static r => r.Bytes));
        Field(reply, "rows-estimated", reports.Sum(static r => r.RowsEstimated));
        Field(reply, "rows-compared", reports.Sum(static r => r.RowsCompared));
        Field(reply, "log-bytes-behind", reports.Sum(static r => r.LogBytesBehind));
        Field(reply, "checksum", ComparedOf(compared, done, copies));
        Field(reply, "reason", move.Reason);
        Field(reply, "elapsed-ms", Math.Max(0, (isOver ? move.EndedAtMs : nowMs) - move.BeganAtMs));
        Field(reply, "copies", copies);
        Field(reply, "copies-done", done);
        string[] waits = [.. overview.Copies.Where(c => c.Report is not null || nowMs - move.BeganAtMs > TellingMs).Select(c => WaitOf(c, move)).OfType<string>()];
        reply.BulkString("waits-for"u8);
        reply.ArrayHeader(waits.Length);
        foreach (string wait in waits)
            reply.BulkString(wait);
        reply.BulkString("details"u8);
        reply.ArrayHeader(overview.Copies.Count);
        foreach (CopyMove copy in overview.Copies)
            Write(reply, copy, move);
    }

    private static void Write(RespWriter reply, CopyMove copy, KeyspaceMove move)
    {
        reply.MapHeader(7);
        Field(reply, "shard", copy.Shard);
        Field(reply, "node", (long)copy.Node.Value);
        Field(reply, "engine", copy.Report?.Engine ?? "");
        Field(reply, "state", copy.Report is null ? "silent" : IsDone(copy, move) ? "done" : WordOf(copy.Report.Stage));
        Field(reply, "rows", copy.Report?.Rows ?? 0);
        Field(reply, "rows-compared", copy.Report?.RowsCompared ?? 0);
        Field(reply, "text", copy.Report?.Text ?? "");
    }

    private static string StateOf(MoveOverview overview)
    {
        KeyspaceMove move = overview.Move;
        switch (move.State)
        {
            case KeyspaceMoveState.Done:
                return ConversionCommand.WordOf(ConversionStage.Done);
            case KeyspaceMoveState.Aborted:
                return ConversionCommand.WordOf(ConversionStage.Aborted);
            case KeyspaceMoveState.Failed:
                return ConversionCommand.WordOf(ConversionStage.Failed);
            case KeyspaceMoveState.Aborting or KeyspaceMoveState.Failing:
                return ConversionCommand.WordOf(ConversionStage.Withdrawing);
        }

        // As far as the one that is least far of those that are on their way.
        ConversionStage? least = null;
        foreach (CopyMove copy in overview.Copies)
        {
            if (!IsDone(copy, move) && copy.Report?.Stage is { } stage and < ConversionStage.Withdrawing && !(least < stage))
                least = stage;
        }

        return least is { } found ? ConversionCommand.WordOf(found) : Waiting;
    }

    /// <summary>In how many copies both engines had the same, and why not in all: one in which they differ is a failed move, and its reason says so.</summary>
    private static string ComparedOf(int compared, int done, int copies)
    {
        if (compared == 0)
            return "";
        int anew = Math.Max(0, done - compared), left = copies - Math.Max(done, compared);
        return string.Create(CultureInfo.InvariantCulture, $"the same in {compared} of {copies} copies")
            + (anew == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"; {anew} had nothing to compare, made or started anew meanwhile"))
            + (left == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"; {left} still on {(left == 1 ? "its" : "their")} way"));
    }

    /// <summary>Of a copy that holds up the end though nothing is done about it now.</summary>
    private static string? WaitOf(CopyMove copy, KeyspaceMove move)
    {
        if (IsDone(copy, move))
            return null;
        string copyOf = string.Create(CultureInfo.InvariantCulture, $"shard {copy.Shard} on node {copy.Node}");
        return copy.Report switch
        {
            null => $"{copyOf}: nothing is heard of it",
            { Stage: ConversionStage.Failed } failed => $"{copyOf}: {failed.Text}; it is tried again",
            { Stage: null, Text.Length: > 0 } stopped => $"{copyOf}: {stopped.Text}",
            _ => null,
        };
    }

    private static bool IsDone(CopyMove copy, KeyspaceMove move) => copy.Report?.Engine == move.Wanted;

    private static string WordOf(ConversionStage? stage) =>
        stage is null or ConversionStage.Failed or ConversionStage.Aborted or ConversionStage.Done ? Waiting : ConversionCommand.WordOf(stage.Value);

    private static void Field(RespWriter reply, string name, string value)
    {
        reply.BulkString(name);
        reply.BulkString(value);
    }

    private static void Field(RespWriter reply, string name, long value)
    {
        reply.BulkString(name);
        reply.Integer(value);
    }
}
