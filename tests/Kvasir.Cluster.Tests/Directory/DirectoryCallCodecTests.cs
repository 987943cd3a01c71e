using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Tests.Directory;

public sealed class DirectoryCallCodecTests
{
    private static readonly Dictionary<string, byte[]> s_samples = new(StringComparer.Ordinal)
    {
        ["join request"] = Bytes(new JoinRequest { Identity = 258, PeerAddress = "a:1", RespAddress = "a:2" }),
        ["join reply: accepted"] = Bytes(new JoinReply
        {
            Outcome = JoinOutcome.Accepted,
            Node = new NodeId(3),
            ClusterId = 300,
            Nodes = [new NodeAddress(new NodeId(1), "a:1"), new NodeAddress(new NodeId(3), "b:1")],
        }),
        ["join reply: ask another"] = Bytes(JoinReply.Redirect("a:1")),
        ["group reports"] = Bytes((IReadOnlyList<GroupReport>)[new GroupReport(new GroupId(5), 7), new GroupReport(new GroupId(9), 1)]),
        ["stopped copies"] = Bytes((IReadOnlyList<StoppedCopy>)[new StoppedCopy(new GroupId(5), 0), new StoppedCopy(new GroupId(9), 300)]),
        ["move reports"] = Bytes((IReadOnlyList<MoveReport>)[Report]),
        ["move request"] = Written(b => DirectoryCallCodec.WriteMoveRequest(b, "s")),
        ["move reply: never moved"] = Written(b => DirectoryCallCodec.Write(b, (MoveOverview?)null)),
        ["move reply"] = Written(b => DirectoryCallCodec.Write(b, new MoveOverview(
            "s", new KeyspaceMove { From = "lsm", To = "log", State = KeyspaceMoveState.Moving, Number = 2, BeganAtMs = 300 },
            [new CopyMove(0, new NodeId(3), null), new CopyMove(1, new NodeId(1), Report)]))),
        ["whereabouts request"] = Bytes(new WhereaboutsRequest(300, new NodeId(3))),
    };

    private static MoveReport Report => new()
    {
        Group = new GroupId(5),
        Generation = 0,
        Number = 2,
        Engine = "log",
        Stage = ConversionStage.Done,
        Rows = 3,
        Bytes = 300,
        RowsEstimated = 3,
        RowsCompared = 6,
        Text = "x",
    };

    [Fact]
    public void MessagesHaveTheBytesOnPaper()
    {
        string[][] rows = FormatPage.Table("directory.md", "message", "bytes");
        Assert.Equal(s_samples.Keys.Order(StringComparer.Ordinal), rows.Select(r => r[0]).Order(StringComparer.Ordinal));
        foreach (string[] row in rows)
            Assert.Equal(Convert.ToHexString(s_samples[row[0]]), Convert.ToHexString(FormatPage.Bytes(row[1])));
    }

    [Fact]
    public void WhatIsReadIsWhatWasWrittenAndNoPrefixOfItAndNothingWithMore()
    {
        foreach ((string name, byte[] bytes) in s_samples)
        {
            Assert.Equal(Convert.ToHexString(bytes), Convert.ToHexString(Rewritten(bytes)!));
            for (int i = 0; i < bytes.Length; i++)
                Assert.True(Rewritten(bytes.AsSpan(0, i)) is null, $"{i} bytes of {name}");
            Assert.Null(Rewritten([.. bytes, 0]));
        }

        var request = new JoinRequest { Identity = ulong.MaxValue, Node = new NodeId(9), ClusterId = 1, PeerAddress = "ä:1", RespAddress = "b:2", HttpAddress = "c:3" };
        Assert.True(DirectoryCallCodec.TryRead(Bytes(request), out JoinRequest? read));
        Assert.Equal(request, read);
    }

    [Fact]
    public void WhateverTheBytesAreTheyAreRefusedOrAreTheOnlySpelling()
    {
        var random = new SeededRandom(1);
        int read = 0;
        foreach ((_, byte[] sample) in s_samples.OrderBy(s => s.Key, StringComparer.Ordinal))
        {
            for (int i = 0; i < 5_000; i++)
            {
                byte[] bytes = [.. sample];
                for (int flips = random.Next(1, 4); flips > 0; flips--)
                    bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
                if (Rewritten(bytes) is not { } rewritten)
                    continue;
                read++;
                Assert.Equal(Convert.ToHexString(bytes), Convert.ToHexString(rewritten));
            }
        }

        Assert.True(read > 100);
    }

    private static byte[] Bytes(JoinRequest request) => Written(b => DirectoryCallCodec.Write(b, request));

    private static byte[] Bytes(JoinReply reply) => Written(b => DirectoryCallCodec.Write(b, reply));

    private static byte[] Bytes(IReadOnlyList<MoveReport> reports) => Written(b => DirectoryCallCodec.Write(b, reports));

    private static byte[] Bytes(IReadOnlyList<StoppedCopy> copies) => Written(b => DirectoryCallCodec.Write(b, copies));

    private static byte[] Bytes(WhereaboutsRequest request) => Written(b => DirectoryCallCodec.Write(b, request));

    private static byte[] Bytes(IReadOnlyList<GroupReport> reports) => Written(b => DirectoryCallCodec.Write(b, reports));

    private static byte[] Written(Action<BytesBuffer> write)
    {
        BytesBuffer buffer = new();
        write(buffer);
        return buffer.WrittenSpan.ToArray();
    }

    private static byte[]? Rewritten(ReadOnlySpan<byte> bytes) => DirectoryCallCodec.KindOf(bytes) switch
    {
        DirectoryCallKind.JoinRequest => DirectoryCallCodec.TryRead(bytes, out JoinRequest? request) ? Bytes(request) : null,
        DirectoryCallKind.JoinReply => DirectoryCallCodec.TryRead(bytes, out JoinReply? reply) ? Bytes(reply) : null,
        DirectoryCallKind.GroupReports => DirectoryCallCodec.TryRead(bytes, out IReadOnlyList<GroupReport>? reports) ? Bytes(reports) : null,
        DirectoryCallKind.WhereaboutsRequest => DirectoryCallCodec.TryRead(bytes, out WhereaboutsRequest whereabouts) ? Bytes(whereabouts) : null,
        DirectoryCallKind.MoveReports => DirectoryCallCodec.TryRead(bytes, out IReadOnlyList<MoveReport>? moves) ? Bytes(moves) : null,
        DirectoryCallKind.MoveRequest => DirectoryCallCodec.TryReadMoveRequest(bytes, out string? keyspace) ? Written(b => DirectoryCallCodec.WriteMoveRequest(b, keyspace)) : null,
        DirectoryCallKind.MoveReply => DirectoryCallCodec.TryRead(bytes, out MoveOverview? overview) ? Written(b => DirectoryCallCodec.Write(b, overview)) : null,
        DirectoryCallKind.StoppedCopies => DirectoryCallCodec.TryRead(bytes, out IReadOnlyList<StoppedCopy>? copies) ? Bytes(copies) : null,
        _ => null,
    };
}
