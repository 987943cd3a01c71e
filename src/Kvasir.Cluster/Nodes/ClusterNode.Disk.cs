using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Journal;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// What a node does about a disk that is full: it leads nothing, follows as far as its memory goes, and looks again and again
/// whether there is room.
/// </summary>
public sealed partial class ClusterNode
{
    // A second chance may need a moment to fail, too.
    private const int LooksUntilFit = 3;

    // Inside the mailbox, like all below. Of engines that could not write their files when they were last looked at.
    private readonly SortedList<GroupId, string> _engineFailures = [];
    private int _looksWithoutFailure;
    private string? _saidOfDisk;
    private bool _isMakingRoom;
    private bool _isReserving;
    private bool _isLookingForFolder;
    private string? _newsOfStart;

    /// <summary>On a full disk by letting go the space that is kept: then this node follows until that is used up.</summary>
    private GroupJournal OpenJournalOnAnyDisk(JournalOptions options, NodeId self, GroupHost host)
    {
        try
        {
            return Open();
        }
        catch (DiskFullException e)
        {
            string needed = _options.RoomBytes == 0 ? "free some space" : $"free {_options.RoomBytes >> 20} MiB";
            if (!_reserve.TryLetGo())
                throw new DiskFullException($"the disk is full, and the space that was kept for a start is used up: {needed}, then start this node again. {e.Message}", e);
            _newsOfStart = $"the disk is full: this node has started with the space that was kept for that; {needed}";
            return Open();
        }

        GroupJournal Open() => GroupJournal.Open(
            Files, _environment.Scheduler, _options.Folder + "/" + KvasirNode.JournalFolder, options, self, host.Durable, host.Failed);
    }

    private void LookAfterDisk()
    {
        LookAfterFolder();
        LookAfterEngines();
        SayOfUnreadable();
        if (Interlocked.Exchange(ref _newsOfStart, null) is { } news)
            Warn(news);
        if (_host!.Refusal?.Message is var refusal && refusal != _saidOfDisk)
        {
            if (refusal is not null)
                Warn(refusal);
            else
                Announcer?.Invoke("the disk takes what there is to write again: this node goes on");
            _saidOfDisk = refusal;
        }

        if (_journal!.Failure == JournalFailure.None && _host.Refusal is null && !Volatile.Read(ref _isReserving) && !_reserve.IsHeld)
        {
            _isReserving = true;
            _environment.Scheduler.Schedule(new ReserveJob(this), JobPriority.Upkeep);
        }

        if (_isMakingRoom || _journal.Failure != JournalFailure.DiskFull)
            return;
        _isMakingRoom = true;
        _environment.Scheduler.Schedule(new RoomJob(this, _host, _journal), JobPriority.Upkeep);
    }

    /// <summary>
    /// A folder that was moved or removed takes what is written to its open files as before, and a restart would have none of it: to the
    /// others it is no copy any more.
    /// </summary>
    private void LookAfterFolder()
    {
        if (_journal!.Failure == JournalFailure.DiskFailed || Interlocked.Exchange(ref _isLookingForFolder, true))
            return;
        _environment.Scheduler.Schedule(new FolderJob(this, _journal), JobPriority.Upkeep);
    }

    /// <summary>
    /// Has every engine try again that could not flush or compact. Where that holds up writes the node leads nothing meanwhile:
    /// others can take them.
    /// </summary>
    private void LookAfterEngines()
    {
        WriteRefusal? stuck = null;
        _engineFailures.Clear();
        foreach (RaftGroup group in _host!.Groups)
        {
            IStorageEngine engine = group.Replica.Engine;
            if (group.IsOut || engine.BackgroundFailure is not { } failure)
                continue;
            string text = $"shard {group.Id} cannot write its files, and tries again: {failure.Message}";
            _engineFailures.Add(group.Id, text);
            if (engine.SuggestWriteDelay(0) > TimeSpan.Zero)
                stuck ??= new WriteRefusal(WriteRefusal.FullDisk, text);
            engine.RequestResume();
        }

        _looksWithoutFailure = _engineFailures.Count == 0 ? _looksWithoutFailure + 1 : 0;
        if (stuck is not null)
            _host.Suspend(stuck);
        else if (_looksWithoutFailure == LooksUntilFit)
            _host.Suspend(reason: null);
    }

    private void RoomMade(GroupHost host, bool isThere)
    {
        _isMakingRoom = false;
        if (!isThere || _host != host)
            return;
        host.Resume();
    }

    /// <summary>Asks the disk, and may wait for a sync: not for the mailbox.</summary>
    private sealed class FolderJob(ClusterNode node, GroupJournal journal) : IBackgroundJob
    {
        public string Name => "looking for the data folder";

        public void Run()
        {
            if (!node._folder.LookForParts())
                journal.GiveUp(new FolderLostException(node._folder.Loss!));
            Volatile.Write(ref node._isLookingForFolder, false);
        }
    }

    /// <summary>Makes a file, and syncs it: not for the mailbox.</summary>
    private sealed class RoomJob(ClusterNode node, GroupHost host, GroupJournal journal) : IBackgroundJob
    {
        public string Name => "looking for room on a full disk";

        public void Run()
        {
            bool isThere = false;
            try
            {
                isThere = (node._options.RoomBytes == 0 || node.Files.FreeBytes(node._options.Folder) >= node._options.RoomBytes) && journal.TryMakeRoom();
            }
            catch (StorageException)
            {
                // Not yet.
            }

            if (!node._disposed)
                node.Mailbox.Post(new ActionItem(_ => node.RoomMade(host, isThere)));
        }
    }

    /// <summary>Makes the file that a start on a full disk lets go, where that takes no more than half of what is free.</summary>
    private sealed class ReserveJob(ClusterNode node) : IBackgroundJob
    {
        public string Name => "keeping room for a start on a full disk";

        public void Run()
        {
            try
            {
                if (node.Files.FreeBytes(node._options.Folder) >= 2 * node._options.RoomBytes)
                    node._reserve.TryHold();
            }
            catch (StorageException)
            {
                // Tried again in a moment.
            }

            Volatile.Write(ref node._isReserving, false);
        }
    }
}
