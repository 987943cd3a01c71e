using Kvasir.Cluster.Groups.Journal;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Tests.Groups.Journal;

/// <summary>An entry as a list would hold it.</summary>
internal sealed record ModelEntry(Term Term, EntryKind Kind, string Bytes, Configuration? Configuration);

/// <summary>What one group's journal must hold. Immutable, so that every moment of it can be kept.</summary>
/// <param name="State">Term and vote.</param>
/// <param name="IsRemoved">Only term and vote are left.</param>
/// <param name="Origin">The snapshot, or the founding, that the log began with.</param>
/// <param name="OriginTerm">The term there.</param>
/// <param name="OriginConfiguration">The configuration there.</param>
/// <param name="Entries">All behind the origin.</param>
/// <param name="Compacted">Up to here nothing need be there.</param>
internal sealed record LogModel(
    HardState State,
    bool IsRemoved,
    LogIndex Origin,
    Term OriginTerm,
    ConfigurationEntry OriginConfiguration,
    ModelEntry[] Entries,
    LogIndex Compacted)
{
    public static readonly LogModel Joining = new(
        default, IsRemoved: false, LogIndex.Zero, Term.Zero, new ConfigurationEntry(LogIndex.Zero, Term.Zero, Configuration.Empty), [], LogIndex.Zero);

    /// <summary>Of the replica that is there, or was.</summary>
    public uint Generation { get; init; }

    public LogIndex Last => Origin + (ulong)Entries.Length;

    public ModelEntry this[LogIndex index] => Entries[(int)(index - Origin) - 1];

    public Term TermAt(LogIndex index) => index == Origin ? OriginTerm : this[index].Term;

    public ConfigurationEntry ConfigurationAt(LogIndex index)
    {
        for (; index > Origin; index = index.Previous)
        {
            if (this[index].Configuration is { } configuration)
                return new ConfigurationEntry(index, this[index].Term, configuration);
        }

        return OriginConfiguration;
    }

    public LogModel TruncateFrom(LogIndex index) => this with { Entries = Entries[..(int)(index.Previous - Origin)] };

    /// <summary>Holds what was recovered against this.</summary>
    public void Matches(RaftRecovery recovery, string where)
    {
        Assert.True(State == recovery.HardState, $"{where}: {recovery.HardState} in place of {State}");
        Assert.True(Last == recovery.LastIndex, $"{where}: the log ends at {recovery.LastIndex} in place of {Last}");
        LogIndex begin = recovery.SnapshotIndex;
        Assert.True(begin >= Origin && begin <= LogIndex.Greatest(Origin, Compacted), $"{where}: the log begins behind {begin}, which is not in {Origin} to {Compacted}");
        Assert.True(TermAt(begin) == recovery.SnapshotTerm, $"{where}: term {recovery.SnapshotTerm} at {begin} in place of {TermAt(begin)}");
        int run = -1;
        for (LogIndex index = begin.Next; index <= Last; index = index.Next)
        {
            if (run + 1 < recovery.Terms.Count && recovery.Terms[run + 1].First == index)
                run++;
            Assert.True(run >= 0 && recovery.Terms[run].Term == TermAt(index), $"{where}: entry {index} is not of term {TermAt(index)}");
        }

        Assert.True(run == recovery.Terms.Count - 1, $"{where}: terms of entries that are not there");
        List<ConfigurationEntry> configurations = [ConfigurationAt(begin)];
        for (LogIndex index = begin.Next; index <= Last; index = index.Next)
        {
            if (this[index].Configuration is { } configuration)
                configurations.Add(new ConfigurationEntry(index, TermAt(index), configuration));
        }

        // A member that knows nobody yet waits to be told.
        if (configurations.Count == 1 && configurations[0].Configuration.Voters.Length == 0)
            configurations.Clear();
        Assert.Equal(configurations, recovery.Configurations);
    }
}

/// <summary>A model's entries, as the driver of a group would hold them.</summary>
internal sealed class ModelBytes : IEntryBytes
{
    public LogModel Log { get; set; } = LogModel.Joining;

    public static byte[] BytesOf(ModelEntry entry)
    {
        if (entry.Configuration is not { } configuration)
            return System.Text.Encoding.UTF8.GetBytes(entry.Bytes);
        byte[] bytes = new byte[ConfigurationCodec.Length(configuration)];
        ConfigurationCodec.Write(bytes, configuration);
        return bytes;
    }

    public EntryKind KindOf(LogIndex index) => Log[index].Kind;

    public Term TermOf(LogIndex index) => Log[index].Term;

    public ReadOnlySpan<byte> BytesOf(LogIndex index) => BytesOf(Log[index]);
}

/// <summary>Keeps what was read.</summary>
internal sealed class ReadEntries : IEntrySink
{
    public List<(LogIndex Index, Term Term, EntryKind Kind, byte[] Bytes)> Entries { get; } = [];

    public void Entry(LogIndex index, Term term, EntryKind kind, ReadOnlySpan<byte> bytes) => Entries.Add((index, term, kind, bytes.ToArray()));

    public void Match(LogModel log, LogIndex first, string where)
    {
        LogIndex next = first;
        foreach ((LogIndex index, Term term, EntryKind kind, byte[] bytes) in Entries)
        {
            Assert.True(index == next && index <= log.Last, $"{where}: entry {index} was read where {next} was due, of {log.Last}");
            ModelEntry entry = log[index];
            Assert.True(
                term == entry.Term && kind == entry.Kind && bytes.AsSpan().SequenceEqual(ModelBytes.BytesOf(entry)),
                $"{where}: entry {index} is another: term {term}, {kind}, {bytes.Length} bytes in place of {entry.Term}, {entry.Kind}, {ModelBytes.BytesOf(entry).Length}");
            next = next.Next;
        }
    }
}
