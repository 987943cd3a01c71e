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
internal sealed class Replicator(MemberCore core, ProgressTable peers)
{
    public void Flush()
    {
        foreach (Progress peer in peers.Others)
        {
            if (peer.DoubtsNext)
                SendOne(peer, withEntries: false);
            while (peer.HasRoom(core.Settings.InflightMessagesMax, core.Settings.InflightBytesMax)
                && (peer.State == ReplicationState.Probe || peer.NextIndex <= core.Log.LastIndex))
                SendOne(peer, withEntries: true);
        }
    }

    private void SendOne(Progress peer, bool withEntries)
    {
        LogIndex previous = peer.NextIndex.Previous;
        if (!core.Log.TryTermAt(previous, out Term previousTerm))
        {
            peer.BecomeSnapshot();
            return;
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
            Primitives.Check.That(message.LastIndex >= first && message.LastIndex <= last && bytes >= 0);
        }

        core.Send(message);
        peer.Sent(message.LastIndex, bytes, core.Now);
    }
}
