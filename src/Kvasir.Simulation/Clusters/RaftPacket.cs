using Kvasir.Cluster.Transport;
using Kvasir.Raft;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;

namespace Kvasir.Simulation.Clusters;

/// <summary>
/// What goes between simulated members: a message of the protocol with its entries or the snapshot that it offers, or the
/// word that a snapshot was taken in. As bytes, so that nothing of one member's is ever in another's hands.
/// </summary>
internal sealed record RaftPacket(RaftMessage Message, SimulatedEntry[] Entries, SimulatedImage? Image, LogIndex Installed)
{
    private const ulong SnapshotTaken = 1;

    public bool IsSnapshotTaken => Message.Kind == MessageKind.None;

    public static RaftPacket Taken(LogIndex index) => new(default, [], null, index);

    public MessageBuffer Encode(PacketWriter writer)
    {
        writer.Clear();
        if (IsSnapshotTaken)
            return MessageBuffer.Copy(writer.Number(SnapshotTaken).Number(Installed.Value).Written);
        RaftMessage m = Message;
        writer.Number(0).Number((ulong)m.Kind).Number((ulong)m.Flags).Number(m.From.Value).Number(m.To.Value).Number(m.Term.Value)
            .Number(m.Index.Value).Number(m.LogTerm.Value).Number(m.LastIndex.Value).Number(m.EntryTerm.Value).Number(m.Commit.Value)
            .Number(m.Round).Number(m.Echo).Signed(m.SentAt.Ticks).Members(m.Configuration).Number((ulong)Entries.Length);
        foreach (SimulatedEntry entry in Entries)
            writer.Number(entry.Term.Value).Number((ulong)entry.Kind).Bytes(entry.Data).Members(entry.Configuration);
        writer.Number(Image is null ? 0UL : 1UL);
        if (Image is { } image)
        {
            writer.Number(image.Index.Value).Number(image.Term.Value).Number(image.Configuration.Index.Value)
                .Number(image.Configuration.Term.Value).Members(image.Configuration.Configuration).Number(image.Chain).Bytes(image.State);
        }

        return MessageBuffer.Copy(writer.Written);
    }

    public static RaftPacket Decode(ReadOnlySpan<byte> bytes)
    {
        var reader = new PacketReader(bytes);
        if (reader.Number() == SnapshotTaken)
            return Taken(new LogIndex(reader.Number()));
        var message = new RaftMessage
        {
            Kind = (MessageKind)reader.Number(),
            Flags = (MessageFlags)reader.Number(),
            From = new MemberId(reader.Number()),
            To = new MemberId(reader.Number()),
            Term = new Term(reader.Number()),
            Index = new LogIndex(reader.Number()),
            LogTerm = new Term(reader.Number()),
            LastIndex = new LogIndex(reader.Number()),
            EntryTerm = new Term(reader.Number()),
            Commit = new LogIndex(reader.Number()),
            Round = reader.Number(),
            Echo = reader.Number(),
            SentAt = TimeSpan.FromTicks(reader.Signed()),
            Configuration = reader.Members(),
        };
        int count = (int)reader.Number();
        SimulatedEntry[] entries = count == 0 ? [] : new SimulatedEntry[count];
        for (int i = 0; i < entries.Length; i++)
            entries[i] = new SimulatedEntry(new Term(reader.Number()), (EntryKind)reader.Number(), reader.Bytes().ToArray(), reader.Members());
        SimulatedImage? image = null;
        if (reader.Number() == 1)
        {
            image = new SimulatedImage(
                new LogIndex(reader.Number()), new Term(reader.Number()),
                new ConfigurationEntry(new LogIndex(reader.Number()), new Term(reader.Number()), reader.Members()!), reader.Number(), reader.Bytes().ToArray());
        }

        return new RaftPacket(message, entries, image, LogIndex.Zero);
    }
}
