using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;

namespace Kvasir.Simulation.Workloads;

/// <content>
/// A disk that fills up or fails while the node runs. Reads go on; what was refused definitely never comes back; what
/// was refused with an unknown outcome may, but only from the end of the history; writes resume by themselves when there
/// is space again, and after a restart when the disk had failed.
/// </content>
public sealed partial class DiskWorkload
{
    private const string JournalFolder = Folder + "/journal/";
    private const string KeyspacesFolder = Folder + "/keyspaces/";

    // Of a tenth of a second each, on a disk that is good again: by then writes are taken.
    private const int RoundsUntilWritten = 50;

    // And by then nothing has anything to say: a compaction that failed again and again, slowly, may rest for half a minute.
    private const int RoundsUntilWell = 350;

    private static readonly DiskOperationKind[] s_failing =
        [DiskOperationKind.Write, DiskOperationKind.Sync, DiskOperationKind.Create, DiskOperationKind.Rename, DiskOperationKind.SyncFolder];

    private bool _diskIsBad;
    private long _failures;

    // Set once the log has failed for good: the last transaction that is certain, which readers see until the restart.
    private int? _certain;

    private int Visible => _certain ?? _history.Count - 1;

    private bool MaySpoil => _durability == Durability.Sync
        && (_options.Faults & (DiskWorkloadFaults.Full | DiskWorkloadFaults.Failed | DiskWorkloadFaults.Reads | DiskWorkloadFaults.Flips)) != 0;

    private void SpoilDisk()
    {
        int skip = _random.Next(8);
        switch (_random.Next(6))
        {
            case 0 when Has(DiskWorkloadFaults.Full):
                Spoil("the disk has little space left");
                long used = long.MaxValue - _disk.FreeBytes(Folder);
                _disk.CapacityBytes = used + _random.Next(96 << 10);
                break;
            case 1 when Has(DiskWorkloadFaults.Failed):
                DiskOperationKind kind = _random.OneIn(2) ? DiskOperationKind.Write : DiskOperationKind.Sync;
                Spoil($"{kind} of the journal fails");
                _disk.Faults.Add(new FaultRule(DiskFault.Failed, kind, JournalFolder) { Skip = skip, Times = 1 });
                break;
            case 2 when Has(DiskWorkloadFaults.Failed):
                Spoil("writes of the engines' files fail");
                _disk.Faults.Add(RandomRule(DiskFault.Failed, KeyspacesFolder, skip));
                break;
            case 3 when Has(DiskWorkloadFaults.Full):
                string folder = _random.OneIn(2) ? KeyspacesFolder : JournalFolder;
                Spoil(folder == JournalFolder ? "the journal meets a full disk" : "the engines meet a full disk");
                _disk.Faults.Add(RandomRule(DiskFault.Full, folder, skip));
                break;
            case 4 when Has(DiskWorkloadFaults.Reads):
                Spoil("reads fail");
                DiskOperationKind reading = _random.OneIn(3) ? DiskOperationKind.Open : DiskOperationKind.Read;
                _disk.Faults.Add(new FaultRule(DiskFault.Failed, reading, KeyspacesFolder) { Skip = skip, Times = _random.Next(1, 6) });
                break;
            case 5 when Has(DiskWorkloadFaults.Flips):
                Spoil("reads return flipped bits");
                _disk.Faults.Add(new FaultRule(DiskFault.FlipBit, DiskOperationKind.Read, KeyspacesFolder) { Skip = skip, Times = _random.Next(1, 6) });
                break;
        }
    }

    private bool Has(DiskWorkloadFaults fault) => _options.Faults.HasFlag(fault);

    private void Spoil(string how)
    {
        _diskIsBad = true;
        Count("faults: " + how);
    }

    /// <summary>Mostly microseconds, now and then so long that everything by the clock is overdue.</summary>
    private TimeSpan LatencyOf(DiskOperation operation)
    {
        if (_checking || _comparing || !Has(DiskWorkloadFaults.Slow))
            return TimeSpan.Zero;
        if (!_random.OneIn(400))
            return TimeSpan.FromMicroseconds(_random.Next(300));
        Count("faults: an operation takes seconds");
        return TimeSpan.FromMilliseconds(_random.Next(5000));
    }

    private FaultRule RandomRule(DiskFault fault, string folder, int skip) =>
        new(fault, s_failing[_random.Next(s_failing.Length)], folder) { Skip = skip, Times = _random.Next(1, 4) };

    /// <summary>Makes the disk good again and waits until the node takes writes.</summary>
    private void HealDisk()
    {
        if (!_diskIsBad)
            return;
        if (!IsWell(_node!))
            _failures++;
        if (_node!.Refusal is { } refusal)
            Count($"faults: writes refused with {refusal.Code}");
        CheckLive(_node!, Visible, "on a bad disk");
        _diskIsBad = false;
        _disk.Faults.Clear();
        _disk.CapacityBytes = long.MaxValue;
        CheckContent(_node!, Visible, "on a disk that is good again");
        for (int i = 0; i < RoundsUntilWell && _certain is null && !IsWell(_node!); i++)
        {
            if (i >= RoundsUntilWritten && _node!.Refusal is { } still)
                throw Broken($"the disk is good again, and writes do not resume: {still.Message}");
            _scheduler.Clock.Advance(TimeSpan.FromMilliseconds(100));
            _scheduler.RunAll();
            NoteAnswers(_node!);
        }

        if (_certain is { } certain)
            RestartAfterFailure(certain);
        else if (!IsWell(_node!))
            throw Broken($"the disk is good again, and not all is well: {string.Join("; ", Complaints(_node!))}");
        CheckContent(_node!, Visible, "after the disk was bad");
    }

    private static bool IsWell(KvasirNode node) => !Complaints(node).Any();

    private static IEnumerable<string> Complaints(KvasirNode node) =>
    [
        .. node.Refusal is { } refusal ? (string[])[refusal.Message] : [],
        .. node.Replicas.Where(r => r.Engine.BackgroundFailure is not null).Select(r => $"{r.Options.Engine}: {r.Engine.BackgroundFailure!.Message}"),
    ];

    /// <summary>Some of the transactions with an unknown outcome may be there; those decide what comes next.</summary>
    private void RestartAfterFailure(int certain)
    {
        CheckHeldViews(0);
        CountWork(_node!);
        _closing = true;
        _node!.Dispose();
        _closing = false;
        _node = null;
        _scheduler.RunAll();
        Count("restarts after the disk had failed");
        KvasirNode node = Open(_disk, _scheduler);
        int found = FoundNumber(node, "after a restart");
        if (found < certain || found >= _history.Count)
            throw Broken($"transactions up to {certain} are certain and {_history.Count - 1} were made; after a restart there are {found}");
        Forget(found);
        _answered = found;
        _certain = null;
        _node = node;
    }

    private void Forget(int last)
    {
        _history.RemoveRange(last + 1, _history.Count - last - 1);
        _positions.RemoveRange(last + 1, _positions.Count - last - 1);
    }

    private void OnLogFailed(LogPosition durable, bool definite)
    {
        if (_history.Count != _positions.Count)
            throw Broken("the log failed inside the mailbox");
        foreach (HeldView view in _held)
            view.Doubtful = true;
        int last = _positions.FindLastIndex(position => position <= durable);
        if (_certain is { } certain)
            last = Math.Min(last, certain);
        if (last < _answered)
            throw Broken($"the log failed after transaction {last}, and {_answered} was answered");
        if (definite && _certain is null)
            Forget(last);
        else
            _certain = last;
    }

    private sealed class FailureListener(DiskWorkload owner) : ILogListener
    {
        public void Durable(IReplicaLog log, LogPosition position)
        {
        }

        public void Failed(IReplicaLog log, LogPosition durable, LogLoss loss, string reason) => owner.OnLogFailed(durable, loss == LogLoss.DiskFull);
    }
}
