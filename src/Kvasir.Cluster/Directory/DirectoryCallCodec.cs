using System.Diagnostics.CodeAnalysis;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Directory;

/// <summary>Which message it is. On the wire: numbers are never changed or reused.</summary>
public enum DirectoryCallKind : byte
{
    None = 0,
    JoinRequest = 1,
    JoinReply = 2,
    GroupReports = 3,
    WhereaboutsRequest = 4,
    StoppedCopies = 5,
    MoveReports = 6,
    MoveRequest = 7,
    MoveReply = 8,
}

/// <summary>
/// The messages of the join and administration channel, without the channel's byte (docs/formats/directory.md): a kind, a version,
/// the fields.
/// </summary>
public static class DirectoryCallCodec
{
    private const ulong FormatVersion = 1;
    private const int TextLengthMax = 4096;
    private const int NodesMax = 16 * 1024;
    private const int ReportsMax = 64 * 1024;

    /// <summary>What a message claims to be.</summary>
    public static DirectoryCallKind KindOf(ReadOnlySpan<byte> message) =>
        message.Length > 0 && message[0] is >= (byte)DirectoryCallKind.JoinRequest and <= (byte)DirectoryCallKind.MoveReply
            ? (DirectoryCallKind)message[0]
            : DirectoryCallKind.None;

    public static void Write(BytesBuffer destination, JoinRequest request)
    {
        FieldWriter fields = Begin(destination, DirectoryCallKind.JoinRequest);
        fields.Number(request.Identity);
        fields.Number(request.Node.Value);
        fields.Number(request.ClusterId);
        fields.Text(request.PeerAddress);
        fields.Text(request.RespAddress);
        fields.Text(request.HttpAddress);
        DirectoryCodec.Write(fields, request.Locality);
    }

    public static void Write(BytesBuffer destination, JoinReply reply)
    {
        FieldWriter fields = Begin(destination, DirectoryCallKind.JoinReply);
        fields.Number((ulong)reply.Outcome);
        fields.Number(reply.Node.Value);
        fields.Number(reply.ClusterId);
        fields.Text(reply.Text);
        fields.Number((ulong)reply.Nodes.Count);
        foreach (NodeAddress node in reply.Nodes)
        {
            fields.Number(node.Node.Value);
            fields.Text(node.PeerAddress);
        }
    }

    public static void Write(BytesBuffer destination, IReadOnlyList<GroupReport> reports)
    {
        FieldWriter fields = Begin(destination, DirectoryCallKind.GroupReports);
        fields.Number((ulong)reports.Count);
        foreach (GroupReport report in reports)
        {
            fields.Number(report.Group.Value);
            fields.Number(report.Epoch);
        }
    }

    public static void Write(BytesBuffer destination, IReadOnlyList<StoppedCopy> copies)
    {
        FieldWriter fields = Begin(destination, DirectoryCallKind.StoppedCopies);
        fields.Number((ulong)copies.Count);
        foreach (StoppedCopy copy in copies)
        {
            fields.Number(copy.Group.Value);
            fields.Number(copy.Generation);
        }
    }

    public static void Write(BytesBuffer destination, WhereaboutsRequest request)
    {
        FieldWriter fields = Begin(destination, DirectoryCallKind.WhereaboutsRequest);
        fields.Number(request.ClusterId);
        fields.Number(request.Node.Value);
    }

    public static bool TryRead(ReadOnlySpan<byte> message, [NotNullWhen(true)] out JoinRequest? request)
    {
        FieldReader fields = Begin(message, DirectoryCallKind.JoinRequest);
        var read = new JoinRequest
        {
            Identity = fields.Number(),
            Node = new NodeId(fields.Number()),
            ClusterId = fields.Number(),
            PeerAddress = fields.Text(DirectoryCodec.AddressLengthMax),
            RespAddress = fields.Text(DirectoryCodec.AddressLengthMax),
            HttpAddress = fields.Text(DirectoryCodec.AddressLengthMax),
            Locality = DirectoryCodec.ReadLocality(ref fields),
        };
        request = fields.IsWhole ? read : null;
        return request is not null;
    }

    public static bool TryRead(ReadOnlySpan<byte> message, [NotNullWhen(true)] out JoinReply? reply)
    {
        FieldReader fields = Begin(message, DirectoryCallKind.JoinReply);
        var read = new JoinReply
        {
            Outcome = (JoinOutcome)fields.Number((ulong)JoinOutcome.Accepted, (ulong)JoinOutcome.Later),
            Node = new NodeId(fields.Number()),
            ClusterId = fields.Number(),
            Text = fields.Text(TextLengthMax),
            Nodes = ReadNodes(ref fields),
        };
        reply = fields.IsWhole ? read : null;
        return reply is not null;
    }

    public static bool TryRead(ReadOnlySpan<byte> message, [NotNullWhen(true)] out IReadOnlyList<GroupReport>? reports)
    {
        FieldReader fields = Begin(message, DirectoryCallKind.GroupReports);
        var read = new GroupReport[Count(ref fields, ReportsMax, message.Length)];
        for (int i = 0; i < read.Length; i++)
        {
            var group = new GroupId((uint)fields.Number(1, uint.MaxValue));
            read[i] = new GroupReport(group, fields.Number(1, ulong.MaxValue));
        }

        reports = fields.IsWhole ? read : null;
        return reports is not null;
    }

    public static bool TryRead(ReadOnlySpan<byte> message, [NotNullWhen(true)] out IReadOnlyList<StoppedCopy>? copies)
    {
        FieldReader fields = Begin(message, DirectoryCallKind.StoppedCopies);
        var read = new StoppedCopy[Count(ref fields, ReportsMax, message.Length)];
        for (int i = 0; i < read.Length; i++)
        {
            var group = new GroupId((uint)fields.Number(1, uint.MaxValue));
            read[i] = new StoppedCopy(group, (uint)fields.Number(uint.MaxValue));
        }

        copies = fields.IsWhole ? read : null;
        return copies is not null;
    }

    public static bool TryRead(ReadOnlySpan<byte> message, out WhereaboutsRequest request)
    {
        FieldReader fields = Begin(message, DirectoryCallKind.WhereaboutsRequest);
        request = new WhereaboutsRequest(fields.Number(1, ulong.MaxValue), new NodeId(fields.Number(1, ulong.MaxValue)));
        return fields.IsWhole;
    }

    public static void Write(BytesBuffer destination, IReadOnlyList<MoveReport> reports)
    {
        FieldWriter fields = Begin(destination, DirectoryCallKind.MoveReports);
        fields.Number((ulong)reports.Count);
        foreach (MoveReport report in reports)
            MoveCodec.Write(fields, report);
    }

    public static bool TryRead(ReadOnlySpan<byte> message, [NotNullWhen(true)] out IReadOnlyList<MoveReport>? reports)
    {
        FieldReader fields = Begin(message, DirectoryCallKind.MoveReports);
        var read = new MoveReport[Count(ref fields, ReportsMax, message.Length)];
        for (int i = 0; i < read.Length; i++)
            read[i] = MoveCodec.ReadReport(ref fields);
        reports = fields.IsWhole ? read : null;
        return reports is not null;
    }

    public static void WriteMoveRequest(BytesBuffer destination, string keyspace) =>
        Begin(destination, DirectoryCallKind.MoveRequest).Text(keyspace);

    public static bool TryReadMoveRequest(ReadOnlySpan<byte> message, [NotNullWhen(true)] out string? keyspace)
    {
        FieldReader fields = Begin(message, DirectoryCallKind.MoveRequest);
        string name = fields.Text(TextLengthMax);
        keyspace = fields.IsWhole ? name : null;
        return keyspace is not null;
    }

    /// <summary>Null for none, where the keyspace never moved.</summary>
    public static void Write(BytesBuffer destination, MoveOverview? overview)
    {
        FieldWriter fields = Begin(destination, DirectoryCallKind.MoveReply);
        fields.Number(overview is null ? 0UL : 1);
        if (overview is null)
            return;
        fields.Text(overview.Keyspace);
        MoveCodec.Write(fields, overview.Move);
        fields.Number((ulong)overview.Copies.Count);
        foreach (CopyMove copy in overview.Copies)
        {
            fields.Number((ulong)copy.Shard);
            fields.Number(copy.Node.Value);
            fields.Number(copy.Report is null ? 0UL : 1);
            if (copy.Report is { } report)
                MoveCodec.Write(fields, report);
        }
    }

    public static bool TryRead(ReadOnlySpan<byte> message, out MoveOverview? overview)
    {
        overview = null;
        FieldReader fields = Begin(message, DirectoryCallKind.MoveReply);
        if (fields.Number(1) == 0)
            return fields.IsWhole;
        string keyspace = fields.Text(DirectoryCodec.NameLengthMax);
        KeyspaceMove move = MoveCodec.Read(ref fields);
        var copies = new CopyMove[Count(ref fields, ReportsMax, message.Length)];
        for (int i = 0; i < copies.Length; i++)
        {
            int shard = (int)fields.Number(DirectoryCodec.ShardsMax - 1);
            var node = new NodeId(fields.Number(1, uint.MaxValue));
            copies[i] = new CopyMove(shard, node, fields.Number(1) == 1 ? MoveCodec.ReadReport(ref fields) : null);
        }

        overview = fields.IsWhole ? new MoveOverview(keyspace, move, copies) : null;
        return overview is not null;
    }

    private static NodeAddress[] ReadNodes(ref FieldReader fields)
    {
        var nodes = new NodeAddress[Count(ref fields, NodesMax, fields.Remaining)];
        for (int i = 0; i < nodes.Length; i++)
        {
            var id = new NodeId(fields.Number(1, ulong.MaxValue));
            nodes[i] = new NodeAddress(id, fields.Text(DirectoryCodec.AddressLengthMax));
        }

        return nodes;
    }

    // Each takes a byte at least: no message makes its reader allocate more than it is long.
    private static int Count(ref FieldReader fields, int max, int bytes) => (int)fields.Number((ulong)Math.Min(max, bytes));

    private static FieldWriter Begin(BytesBuffer destination, DirectoryCallKind kind)
    {
        destination.Append((byte)kind);
        var fields = new FieldWriter(destination);
        fields.Number(FormatVersion);
        return fields;
    }

    private static FieldReader Begin(ReadOnlySpan<byte> message, DirectoryCallKind kind)
    {
        var fields = new FieldReader(message);
        fields.Number((ulong)kind, (ulong)kind);
        fields.Number(FormatVersion, FormatVersion);
        return fields;
    }
}
