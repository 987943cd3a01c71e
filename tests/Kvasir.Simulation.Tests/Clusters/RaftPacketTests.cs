using System.Reflection;
using Kvasir.Cluster.Transport;
using Kvasir.Raft;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Clusters;

namespace Kvasir.Simulation.Tests.Clusters;

public sealed class RaftPacketTests
{
    [Fact]
    public void EveryFieldOfAMessageArrives()
    {
        // A field that is added to the protocol and forgotten here would be zero for every receiver.
        object message = new RaftMessage();
        ulong next = 3;
        foreach (FieldInfo field in typeof(RaftMessage).GetFields())
        {
            object value = field.FieldType switch
            {
                _ when field.FieldType == typeof(MessageKind) => MessageKind.Append,
                _ when field.FieldType == typeof(MessageFlags) => MessageFlags.Force | MessageFlags.Reject,
                _ when field.FieldType == typeof(MemberId) => new MemberId(next++),
                _ when field.FieldType == typeof(Term) => new Term(next++),
                _ when field.FieldType == typeof(LogIndex) => new LogIndex(next++),
                _ when field.FieldType == typeof(ulong) => next++,
                _ when field.FieldType == typeof(TimeSpan) => TimeSpan.FromTicks((long)next++),
                _ when field.FieldType == typeof(Configuration) => Members(1, 2, 9),
                _ => throw new InvalidOperationException($"a {field.FieldType} in a message"),
            };
            field.SetValue(message, value);
        }

        var sent = new RaftPacket(
            (RaftMessage)message,
            [new SimulatedEntry(new Term(4), EntryKind.Normal, [1, 2, 3], null), new SimulatedEntry(new Term(5), EntryKind.Configuration, [], Members(7))],
            new SimulatedImage(new LogIndex(8), new Term(3), new ConfigurationEntry(new LogIndex(2), new Term(1), Members(1, 2)), 77, [9, 9]),
            LogIndex.Zero);
        using MessageBuffer bytes = sent.Encode(new PacketWriter());
        RaftPacket received = RaftPacket.Decode(bytes.Bytes);
        foreach (FieldInfo field in typeof(RaftMessage).GetFields())
            Assert.Equal(field.GetValue(sent.Message), field.GetValue(received.Message));
        Assert.Equal(sent.Entries.Select(e => (e.Term, e.Kind, e.Hash)), received.Entries.Select(e => (e.Term, e.Kind, e.Hash)));
        Assert.Equal(Members(7), received.Entries[1].Configuration);
        Assert.Equal(
            (sent.Image!.Index, sent.Image.Term, sent.Image.Configuration, sent.Image.Chain),
            (received.Image!.Index, received.Image.Term, received.Image.Configuration, received.Image.Chain));
        Assert.Equal(sent.Image.State, received.Image.State);
    }

    [Fact]
    public void TheWordThatASnapshotWasTakenArrives()
    {
        using MessageBuffer bytes = RaftPacket.Taken(new LogIndex(12)).Encode(new PacketWriter());
        RaftPacket received = RaftPacket.Decode(bytes.Bytes);
        Assert.True(received.IsSnapshotTaken);
        Assert.Equal(new LogIndex(12), received.Installed);
    }

    private static Configuration Members(params ulong[] ids) => new([.. ids.Select(i => new MemberId(i))]);
}
