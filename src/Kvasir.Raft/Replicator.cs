using Kvasir.Primitives;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Replication;

namespace Kvasir.Raft;

/// <summary>
/// Turns what followers lack into appends, once a turn: all proposals of the turn travel together, and while the window has
/// room the next append does not wait for the answer to the last. An append holds entries of one term, and one that holds a
/// configuration holds nothing else, so that a message needs no list of terms and kinds.
/// </summary>
/// <remarks>
/// Entries that could have gone with an earlier turn are <i>old</i>: whoever lacks them lags behind, and the driver says how much of
/// that it bears in one turn, since it must read them, and others wait meanwhile.
/// </remarks>
internal sealed class Replicator(MemberCore core, ProgressTable peers)
{
    // Where the log ended when the last turn did.
    private LogIndex _seenLast;

    // Who lags is served in turn.
    private int _firstServed;

    /// <summary>Bytes of old entries that the last <see cref="Flush"/> sent.</summary>
    public long OldBytes { get; private set; }

    /// <summary>The last <see cref="Flush"/> held back old entries that a window had room for.</summary>
    public bool HoldsBack { get; private set; }

    public void Flush(long oldBytesMax)
    {
        (OldBytes, HoldsBack) = (0, false);
        ReadOnlySpan<Progress> others = peers.Others;
        int first = _firstServed;
        for (int i = 0; i < others.Length; i++)
            Flush(others[(first + i) % others.Length], oldBytesMax);
        _seenLast = core.Log.LastIndex;
        if (HoldsBack)
            _firstServed = (first + 1) % others.Length;
    }

    private void Flush(Progress peer, long oldBytesMax)
    {
        if (peer.DoubtsNext)
            SendOne(peer, withEntries: false);
        while (peer.HasRoom(core.Settings.InflightMessagesMax, core.Settings.InflightBytesMax)
            && (peer.State == ReplicationState.Probe || peer.NextIndex <= core.Log.LastIndex))
        {
            bool isOld = peer.NextIndex <= _seenLast;
            if (isOld && OldBytes >= oldBytesMax)
            {
                HoldsBack = true;
                break;
            }

            long bytes = SendOne(peer, withEntries: true);
            OldBytes += isOld ? bytes : 0;
        }

        if (core.Settings.TellsCommits && peer.State == ReplicationState.Replicate
            && peer.CommitSent < LogIndex.Least(core.Commit, peer.MatchIndex))
            SendOne(peer, withEntries: false);
    }

    /// <summary>Gives the bytes of the entries in it.</summary>
    private long SendOne(Progress peer, bool withEntries)
    {
        LogIndex previous = peer.NextIndex.Previous;
        if (!core.Log.TryTermAt(previous, out Term previousTerm))
        {
            peer.BecomeSnapshot(until: LogIndex.Zero);
            return 0;
        }

        var message = new RaftMessage
        {
            Kind = MessageKind.Append,
            To = peer.Id,
            Index = previous,
            LogTerm = previousTerm,
            LastIndex = previous,
            EntryTerm = previousTerm,
            Commit = core.Commit,
        };
        long bytes = 0;
        if (withEntries && peer.NextIndex <= core.Log.LastIndex)
        {
            LogIndex first = peer.NextIndex;
            LogIndex last = core.Log.RunEnd(first);
            message.EntryTerm = core.Log.TermAt(first);
            message.Configuration = core.Configurations.Exactly(first);
            last = message.Configuration is not null
                ? first
                : LogIndex.Least(last, core.Configurations.FirstAbove(first).Previous);
            // The driver is not asked about what it has not been given: such an entry is small, and goes alone.
            LogIndex own = core.FirstOwnFrom(first);
            message.LastIndex = own == first
                ? first
                : core.Sizes.Fit(first, LogIndex.Least(last, own.Previous), core.Settings.AppendBytesMax, out bytes);
            Check.That(message.LastIndex >= first && message.LastIndex <= last && bytes >= 0);
        }

        core.Send(message);
        peer.Sent(message.LastIndex, bytes, core.Now);
        peer.CommitSent = core.Commit;
        return bytes;
    }
}
