using Kvasir.Raft;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Groups.Journal;

/// <summary>Where the entries of a group are that go to the journal.</summary>
internal interface IEntryBytes
{
    EntryKind KindOf(LogIndex index);

    Term TermOf(LogIndex index);

    /// <summary>Good until the next call. Those of a configuration are its codec's.</summary>
    ReadOnlySpan<byte> BytesOf(LogIndex index);
}

/// <summary>Takes entries that come back from the journal, in order.</summary>
internal interface IEntrySink
{
    /// <summary>The bytes are good until it returns.</summary>
    void Entry(LogIndex index, Term term, EntryKind kind, ReadOnlySpan<byte> bytes);
}
