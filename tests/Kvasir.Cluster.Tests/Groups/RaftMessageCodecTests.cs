using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Tests.Groups;

public sealed class RaftMessageCodecTests
{
    private static readonly MessageKind[] s_kinds = [.. Enum.GetValues<MessageKind>().Where(k => RaftMessageCodec.FieldsOf(k) != RaftMessageFields.Unknown)];

    [Fact]
    public void MessagesOfAllKindsComeBackAsTheyWere()
    {
        for (ulong seed = 0; seed < 300; seed++)
        {
            var random = new SeededRandom(seed);
            var bytes = new BytesBuffer();
            List<(GroupId Group, RaftMessage Message, List<(EntryKind Kind, byte[] Bytes)> Entries)> sent = [];
            RaftMessageCodec.BeginBatch(bytes);
            for (int i = random.Next(6); i >= 0; i--)
            {
                var group = new GroupId((uint)random.NextUInt64() | 1);
                RaftMessage message = Any(random, out List<(EntryKind, byte[])> entries);
                int start = RaftMessageCodec.Begin(bytes, group, message);
                foreach ((EntryKind kind, byte[] content) in entries)
                    RaftMessageCodec.AddEntry(bytes, kind, content);
                RaftMessageCodec.End(bytes, start);
                sent.Add((group, message, entries));
            }

            var reader = new RaftBatchReader(bytes.WrittenSpan);
            foreach ((GroupId group, RaftMessage message, List<(EntryKind Kind, byte[] Bytes)> entries) in sent)
            {
                Assert.True(reader.MoveNext(), $"seed {seed}");
                Assert.Equal(group, reader.Group);
                Assert.Equal((message.From.Generation, message.To.Generation), (reader.FromGeneration, reader.ToGeneration));
                Assert.Equal(message with { From = default, To = default }, reader.Message);
                RaftEntryReader read = reader.Entries;
                foreach ((EntryKind kind, byte[] content) in entries)
                {
                    Assert.True(read.MoveNext(), $"seed {seed}");
                    Assert.Equal(kind, read.Kind);
                    Assert.Equal(content, read.Bytes.ToArray());
                }

                Assert.False(message.HasEntries && read.MoveNext());
            }

            Assert.False(reader.MoveNext());
            Assert.False(reader.Malformed, $"seed {seed}");
        }
    }

    /// <summary>The page about the format shows these bytes.</summary>
    [Fact]
    public void TheBytesAreThoseOfTheFormat()
    {
        var bytes = new BytesBuffer();
        RaftMessageCodec.BeginBatch(bytes);
        int start = RaftMessageCodec.Begin(bytes, new GroupId(300), new RaftMessage
        {
            Kind = MessageKind.Append,
            To = new MemberId(2, 4),
            Term = new Term(7),
            Index = new LogIndex(1000),
            LogTerm = new Term(6),
            LastIndex = new LogIndex(1002),
            EntryTerm = new Term(7),
            Commit = new LogIndex(998),
        });
        RaftMessageCodec.AddEntry(bytes, EntryKind.NoOp, []);
        RaftMessageCodec.AddEntry(bytes, EntryKind.Normal, "abc"u8);
        RaftMessageCodec.End(bytes, start);
        RaftMessageCodec.End(bytes, RaftMessageCodec.Begin(bytes, GroupId.Directory, new RaftMessage
        {
            Kind = MessageKind.HeartbeatResponse,
            Flags = MessageFlags.Quiesce,
            Term = new Term(7),
            Round = 5,
            Echo = 9,
            SentAt = TimeSpan.FromTicks(-2),
        }));
        Assert.Equal(
            "0102" + "13000000" + "AC02" + "0004" + "0500" + "07" + "E807" + "06" + "E607" + "07" + "02" + "01" + "0C616263"
            + "09000000" + "01" + "0000" + "0804" + "07" + "05" + "09" + "03",
            Convert.ToHexString(bytes.WrittenSpan));
    }

    [Fact]
    public void WhateverComesNothingIsReadOutside()
    {
        for (ulong seed = 0; seed < 3000; seed++)
        {
            var random = new SeededRandom(seed);
            var bytes = new BytesBuffer();
            RaftMessageCodec.BeginBatch(bytes);
            for (int i = random.Next(3); i >= 0; i--)
            {
                RaftMessage message = Any(random, out List<(EntryKind Kind, byte[] Bytes)> entries);
                int start = RaftMessageCodec.Begin(bytes, new GroupId(1 + (uint)random.Next(200)), message);
                foreach ((EntryKind kind, byte[] content) in entries)
                    RaftMessageCodec.AddEntry(bytes, kind, content);
                RaftMessageCodec.End(bytes, start);
            }

            byte[] damaged = bytes.WrittenSpan[..random.Next(bytes.Length + 1)].ToArray();
            for (int i = random.Next(4); i > 0 && damaged.Length > 0; i--)
                damaged[random.Next(damaged.Length)] = random.OneIn(3) ? (byte)0xFF : (byte)random.NextUInt64();
            Walk(damaged);
        }
    }

    [Fact]
    public void WhatMakesNoSenseByItselfIsRefused()
    {
        RaftMessage append = new() { Kind = MessageKind.Append, Term = new Term(5), Index = new LogIndex(3), LogTerm = new Term(4) };
        Assert.True(IsRefused(append with { LastIndex = new LogIndex(4), EntryTerm = new Term(6) }, EntryKind.Normal));
        Assert.True(IsRefused(append with { LastIndex = new LogIndex(4), EntryTerm = new Term(3) }, EntryKind.Normal));
        Assert.True(IsRefused(append with { LastIndex = new LogIndex(5), EntryTerm = new Term(5) }, EntryKind.Normal));
        Assert.True(IsRefused(append with { LastIndex = new LogIndex(3), EntryTerm = new Term(4) }, EntryKind.Normal));
        Assert.True(IsRefused(append with { LastIndex = new LogIndex(4), EntryTerm = new Term(5) }, EntryKind.Configuration));
        Assert.False(IsRefused(append with { LastIndex = new LogIndex(4), EntryTerm = new Term(5) }, EntryKind.Normal));
        Assert.True(IsRefused(new RaftMessage { Kind = MessageKind.Wake }));
        Assert.True(IsRefused(new RaftMessage { Kind = MessageKind.TimeoutNow, Term = new Term(1UL << 56) }));
        Assert.True(IsRefused(new RaftMessage { Kind = MessageKind.SnapshotOffer, Term = new Term(5) }));
        Assert.True(Walk([]));
        Assert.True(Walk([1, 1]));
        Assert.True(Walk([2, 2]));
        Assert.False(Walk([1, 2]));
    }

    private static bool IsRefused(RaftMessage message, params EntryKind[] entries)
    {
        var bytes = new BytesBuffer();
        RaftMessageCodec.BeginBatch(bytes);
        int start = RaftMessageCodec.Begin(bytes, GroupId.Directory, message);
        foreach (EntryKind kind in entries)
            RaftMessageCodec.AddEntry(bytes, kind, "xy"u8);
        RaftMessageCodec.End(bytes, start);
        return Walk(bytes.WrittenSpan);
    }

    /// <summary>Reads all there is; true when it was malformed.</summary>
    private static bool Walk(ReadOnlySpan<byte> batch)
    {
        var reader = new RaftBatchReader(batch);
        while (reader.MoveNext())
        {
            Assert.True(reader.Group.Value > 0 && reader.Message.Term > Term.Zero);
            if (reader.Message.Kind != MessageKind.Append)
                continue;
            ulong count = 0;
            RaftEntryReader entries = reader.Entries;
            while (entries.MoveNext())
                count++;
            Assert.Equal(reader.Message.LastIndex - reader.Message.Index, count);
        }

        return reader.Malformed;
    }

    private static RaftMessage Any(SeededRandom random, out List<(EntryKind Kind, byte[] Bytes)> entries)
    {
        entries = [];
        var message = new RaftMessage
        {
            Kind = s_kinds[random.Next(s_kinds.Length)],
            Flags = (MessageFlags)random.Next(16),
            From = new MemberId(1, random.OneIn(2) ? 0 : (uint)random.NextUInt64()),
            To = new MemberId(2, random.OneIn(2) ? 0 : (uint)random.NextUInt64()),
            Term = new Term(100 + (random.NextUInt64() >> random.Next(10, 60))),
        };
        RaftMessageFields fields = RaftMessageCodec.FieldsOf(message.Kind);
        if (fields.HasFlag(RaftMessageFields.Index))
            message.Index = new LogIndex(Number());
        if (fields.HasFlag(RaftMessageFields.LogTerm))
            message.LogTerm = new Term((ulong)random.Next(50));
        if (fields.HasFlag(RaftMessageFields.LastIndex))
            message.LastIndex = new LogIndex(Number());
        if (fields.HasFlag(RaftMessageFields.Commit))
            message.Commit = new LogIndex(Number());
        if (fields.HasFlag(RaftMessageFields.Round))
            message.Round = random.NextUInt64();
        if (fields.HasFlag(RaftMessageFields.Echo))
            message.Echo = random.NextUInt64();
        if (fields.HasFlag(RaftMessageFields.SentAt))
            message.SentAt = TimeSpan.FromTicks((long)random.NextUInt64());
        if (!fields.HasFlag(RaftMessageFields.Entries))
            return message;
        message.EntryTerm = new Term(50 + (ulong)random.Next(50));
        if (random.OneIn(4))
        {
            message.Configuration = new Configuration([new MemberId(1), new MemberId(2)], [new MemberId(1 + (random.NextUInt64() | 2))]);
            byte[] content = new byte[ConfigurationCodec.Length(message.Configuration)];
            ConfigurationCodec.Write(content, message.Configuration);
            entries.Add((EntryKind.Configuration, content));
        }
        else
        {
            for (int i = random.Next(5); i > 0; i--)
            {
                byte[] content = new byte[random.Next(200)];
                random.NextBytes(content);
                entries.Add((random.OneIn(5) ? EntryKind.NoOp : EntryKind.Normal, content));
            }
        }

        message.LastIndex = message.Index + (ulong)entries.Count;
        return message;

        ulong Number() => random.NextUInt64() >> random.Next(9, 60);
    }
}
