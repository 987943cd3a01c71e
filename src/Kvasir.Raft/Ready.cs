using Kvasir.Raft.Log;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Reads;

namespace Kvasir.Raft;

/// <summary>
/// What a member asks of its driver, gathered since it was last asked. One object serves all groups of a thread; its
/// lists are good until it is filled again. To be done in this order, though nothing need wait for the disk: keep
/// <see cref="OwnEntries"/>; hand <see cref="Persist"/> to the journal, and report when it is durable; send
/// <see cref="Messages"/>, at once; apply up to <see cref="CommitIndex"/>, and report; the rest.
/// </summary>
public sealed class Ready
{
    private readonly List<RaftMessage> _messages = [];
    private readonly List<OwnEntry> _ownEntries = [];
    private readonly List<SnapshotWanted> _snapshotsWanted = [];

    /// <summary>May be sent now: what depends on a term or a vote that is not durable yet was held back.</summary>
    public ReadOnlySpan<RaftMessage> Messages => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_messages);

    public ReadOnlySpan<OwnEntry> OwnEntries => System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_ownEntries);

    public ReadOnlySpan<SnapshotWanted> SnapshotsWanted =>
        System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_snapshotsWanted);

    public PersistRequest Persist { get; internal set; }

    /// <summary>Of the entries in <see cref="Messages"/>, those for followers that lag behind, in bytes.</summary>
    public long OldBytes { get; internal set; }

    /// <summary>More could go to followers that lag behind than the driver wanted: the next time, and nothing else need happen before.</summary>
    public bool HoldsBack { get; internal set; }

    /// <summary>The commit index has grown since the last time.</summary>
    public bool CommitAdvanced { get; internal set; }

    public LogIndex CommitIndex { get; internal set; }

    /// <summary>Role, term or leader are not what they were the last time; tickets of other terms are void.</summary>
    public bool RoleChanged { get; internal set; }

    public RaftRole Role { get; internal set; }

    public Term Term { get; internal set; }

    public MemberId Leader { get; internal set; }

    /// <summary>Reads that have become linearizable; null when there are none.</summary>
    public ReadReady? Reads { get; internal set; }

    internal List<RaftMessage> MessageList => _messages;

    internal List<OwnEntry> OwnEntryList => _ownEntries;

    internal List<SnapshotWanted> SnapshotWantedList => _snapshotsWanted;

    internal void Clear()
    {
        _messages.Clear();
        _ownEntries.Clear();
        _snapshotsWanted.Clear();
        Persist = default;
        OldBytes = 0;
        CommitAdvanced = RoleChanged = HoldsBack = false;
        Reads = null;
    }
}
