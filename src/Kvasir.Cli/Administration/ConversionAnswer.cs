using Kvasir.Cli.Shell;

namespace Kvasir.Cli.Administration;

/// <summary>What a node says of a keyspace's move to another engine (<c>KEYSPACE CONVERT name STATUS</c>).</summary>
internal sealed record ConversionAnswer(string? Keyspace, string? From, string? To, string? State)
{
    public long? Rows { get; init; }

    public long? RowsEstimated { get; init; }

    public long? RowsCompared { get; init; }

    public long? Bytes { get; init; }

    public long? LogBytesBehind { get; init; }

    public long? ElapsedMilliseconds { get; init; }

    /// <summary>Of the rows, the same in both engines.</summary>
    public string? Checksum { get; init; }

    /// <summary>Why it came to nothing.</summary>
    public string? Reason { get; init; }

    /// <summary>Of all shards; null of a server that is alone.</summary>
    public long? Copies { get; init; }

    public long? CopiesDone { get; init; }

    /// <summary>Which copies hold it up, and why.</summary>
    public IReadOnlyList<string> WaitsFor { get; init; } = [];

    public bool IsDone => State == "done";

    public bool IsOver => State is "done" or "failed" or "aborted";

    /// <summary>How much of the whole is done: three walks over all rows, of which copying is one; of a cluster, the copies that are done.</summary>
    public double Part
    {
        get
        {
            double done = Copies is { } copies
                ? (double)(CopiesDone ?? 0) / Math.Max(1, copies)
                : (double)((Rows ?? 0) + (RowsCompared ?? 0)) / (3 * Math.Max(1, Math.Max(RowsEstimated ?? 0, Rows ?? 0)));
            return Math.Min(0.99, done);
        }
    }

    public static ConversionAnswer Of(RespReply reply)
    {
        ReplyFields fields = new(reply);
        return new ConversionAnswer(fields.Text("keyspace"), fields.Text("from"), fields.Text("to"), fields.Text("state"))
        {
            Rows = fields.Number("rows"),
            RowsEstimated = fields.Number("rows-estimated"),
            RowsCompared = fields.Number("rows-compared"),
            Bytes = fields.Number("bytes"),
            LogBytesBehind = fields.Number("log-bytes-behind"),
            ElapsedMilliseconds = fields.Number("elapsed-ms"),
            Checksum = fields.Text("checksum"),
            Reason = fields.Text("reason"),
            Copies = fields.Number("copies"),
            CopiesDone = fields.Number("copies-done"),
            WaitsFor = fields.Texts("waits-for"),
        };
    }
}
