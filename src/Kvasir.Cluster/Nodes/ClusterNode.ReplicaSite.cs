using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Logs;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Cluster.Nodes;

/// <content>What lies around a replica of a cluster that moves to another engine.</content>
public sealed partial class ClusterNode
{
    /// <summary>
    /// What is copied is what is stable: a leader has published more, which it may have to forget. Which folder is the replica's the
    /// marks beside them say (<see cref="ReplicaFolders"/>): the newer one is it once it has the mark that the older one has.
    /// </summary>
    private sealed class ReplicaSite(ClusterNode node, RaftGroup group, string engine, string folder) : IConversionSite
    {
        // Of entries that are not stable yet, in the turn that switches.
        private const long TailBytesMax = 4 << 20;

        private readonly Replica _replica = group.Replica;
        private bool _hasTriedToSwitch;
        private bool _hasSwitched;
        private volatile CorruptionException? _damage;
        private IStorageEngine? _left;
        private LogIndex? _acknowledged;
        private volatile bool _isUnread;

        public IScheduler Scheduler => node._environment.Scheduler;

        public ReplicaMailbox Mailbox => node.Mailbox;

        public ConversionMeter Meter => node.Conversions;

        public IStorageEngine Source => _replica.Engine;

        public bool LeavesFailingSources => true;

        public bool MemoryIsShort => node._memory.WriteLimitReached;

        public WritePace Pace { get; } = new(node._environment.Scheduler.Time);

        public bool IsCurrent { get; private set; }

        public ReadView SourceView => ReadView.Stable;

        public StateDigest SealedDigest => Source.StableDigest;

        public void RequestDurable() => node._journal?.RequestSync();

        // Told by the clock: whoever posts to an idle mailbox runs what is there, and that may be a stop of this conversion, which waits
        // for the slice that posts.
        public void SourceDamaged(CorruptionException cause) => _damage = cause;

        public IStorageEngine OpenTarget()
        {
            long needed = Source.GetStatistics().DiskBytes;
            long free = node.Files.FreeBytes(node._options.Folder);
            if (free < needed)
                throw new DiskFullException($"the copy needs about {needed} bytes beside what is there, and {free} are free");
            return node.OpenEngine(folder, engine);
        }

        public bool TrySeal(out LogPosition position)
        {
            position = LogPosition.Zero;
            if (group.IsClosed || group.IsOut || group.Damage is not null)
                throw new StorageException($"the replica of shard {group.Id} is stopped");
            if (group.StablePlace is not { } place)
                return false;

            // Who leads knows what was acknowledged: at least what was committed when it first looked.
            if (group.IsServing)
            {
                _acknowledged ??= group.CommitIndex;
                if (place < _acknowledged)
                    return false;
            }

            IsCurrent = group.IsServing;
            position = new LogPosition(place.Value);
            return true;
        }

        public IWriteFeed BeginFeed(LogPosition sealedAt)
        {
            _replica.Pace = Pace;
            return new GroupWalk(group, new LogIndex(sealedAt.Value));
        }

        public bool TrySwitch(IStorageEngine target)
        {
            // Of two newer folders with marks a start takes the last: only one may be on its way.
            if (node._snapshots!.IsReplacing(group))
                throw new StorageException("a snapshot for the replica is on its way");
            if (!group.TryBringUp(target, TailBytesMax))
                return false;
            if (node._journal!.NeededOf(group.Id).Missing(group.SnapshotIndex, target.FlushedPosition) is { } missing)
                throw new StorageException($"the copy is not what the journal counts on: {missing}");
            _hasTriedToSwitch = true;
            node._folders.Mark(group, folder, group.SnapshotIndex);
            _hasSwitched = true;
            _left = _replica.Engine;
            group.MoveTo(target, _replica.Options with { Engine = engine });
            _replica.Pace = null;
            return true;
        }

        public void Withdraw()
        {
            if (_hasTriedToSwitch)
                node._folders.Unmark(folder);
        }

        public void Forget(bool removesTarget)
        {
            _replica.Pace = null;
            TryRemove();
        }

        /// <summary>By the clock, in the mailbox: what only it may do or know.</summary>
        public void Look()
        {
            if (_damage is { } damage)
                group.Damaged(damage);

            // Snapshots for others may still be read from it.
            if (_left is { } left)
                _isUnread = !node._snapshots!.Reads(left);
        }

        public bool TryRetire(IStorageEngine before)
        {
            if (!_isUnread)
                return false;
            before.Dispose();
            TryDiscardBefore();
            return true;
        }

        /// <summary>It was stopped. Throws where the disk does not take that the target is nobody's.</summary>
        public void Abandon()
        {
            _replica.Pace = null;
            if (_hasSwitched)
            {
                TryDiscardBefore();
                return;
            }

            Withdraw();
            TryRemove();
        }

        // What is left goes at the next start.
        private void TryRemove()
        {
            try
            {
                FolderTree.Remove(node.Files, folder);
            }
            catch (StorageException)
            {
            }
        }

        private void TryDiscardBefore()
        {
            try
            {
                node._folders.DiscardBefore(group, folder);
            }
            catch (StorageException)
            {
            }
        }
    }
}
