using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Groups;

namespace Kvasir.Cluster.Directory;

/// <summary>The fields of moves to another engine, in records and in messages (docs/formats/directory.md).</summary>
internal static class MoveCodec
{
    private const ulong StageMax = (ulong)ConversionStage.Aborted + 1;

    public static void Write(in FieldWriter fields, KeyspaceMove move)
    {
        fields.Text(move.From);
        fields.Text(move.To);
        fields.Number((ulong)move.State);
        fields.Number(move.Number);
        fields.Text(Cut(move.Reason));
        fields.Number((ulong)move.BeganAtMs);
        fields.Number((ulong)move.EndedAtMs);
        fields.Number((ulong)move.Copies);
        fields.Number((ulong)move.Compared);
        fields.Number((ulong)move.Rows);
        fields.Number((ulong)move.Bytes);
    }

    /// <param name="fields">Where it stands.</param>
    /// <param name="engine">What the keyspace's record says that it has; null where that is not known.</param>
    public static KeyspaceMove Read(ref FieldReader fields, string? engine = null)
    {
        var move = new KeyspaceMove
        {
            From = fields.Text(DirectoryCodec.NameLengthMax),
            To = fields.Text(DirectoryCodec.NameLengthMax),
            State = (KeyspaceMoveState)fields.Number((ulong)KeyspaceMoveState.Moving, (ulong)KeyspaceMoveState.Failed),
            Number = fields.Number(1, ulong.MaxValue),
            Reason = fields.Text(MoveReport.TextLengthMax),
            BeganAtMs = (long)fields.Number(long.MaxValue),
            EndedAtMs = (long)fields.Number(long.MaxValue),
            Copies = (int)fields.Number(int.MaxValue),
            Compared = (int)fields.Number(int.MaxValue),
            Rows = (long)fields.Number(long.MaxValue),
            Bytes = (long)fields.Number(long.MaxValue),
        };
        bool makesSense = engine is null || engine == (move.IsUnderWay ? move.From : move.Wanted);
        if (!makesSense || move.From == move.To || move.Compared > move.Copies)
            fields.Fail();
        return move;
    }

    public static void Write(in FieldWriter fields, MoveReport report)
    {
        fields.Number(report.Group.Value);
        fields.Number(report.Generation);
        fields.Number(report.Number);
        fields.Text(report.Engine);
        fields.Number(report.Stage is { } stage ? (ulong)stage + 1 : 0);
        fields.Number(report.IsHopeless ? 1UL : 0);
        fields.Number((ulong)report.Rows);
        fields.Number((ulong)report.Bytes);
        fields.Number((ulong)report.RowsEstimated);
        fields.Number((ulong)report.RowsCompared);
        fields.Number((ulong)report.LogBytesBehind);
        fields.Text(Cut(report.Text));
    }

    public static MoveReport ReadReport(ref FieldReader fields) => new()
    {
        Group = new GroupId((uint)fields.Number(1, uint.MaxValue)),
        Generation = (uint)fields.Number(uint.MaxValue),
        Number = fields.Number(1, ulong.MaxValue),
        Engine = fields.Text(DirectoryCodec.NameLengthMax),
        Stage = fields.Number(StageMax) is var stage and > 0 ? (ConversionStage)(stage - 1) : null,
        IsHopeless = fields.Number(1) == 1,
        Rows = (long)fields.Number(long.MaxValue),
        Bytes = (long)fields.Number(long.MaxValue),
        RowsEstimated = (long)fields.Number(long.MaxValue),
        RowsCompared = (long)fields.Number(long.MaxValue),
        LogBytesBehind = (long)fields.Number(long.MaxValue),
        Text = fields.Text(MoveReport.TextLengthMax),
    };

    // A character has three bytes of UTF-8 at most; what cuts one in two is replaced by the encoder.
    private static string Cut(string text) => text.Length <= MoveReport.TextLengthMax / 3 ? text : text[..(MoveReport.TextLengthMax / 3)];
}
