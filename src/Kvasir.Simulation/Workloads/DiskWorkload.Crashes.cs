using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Simulation.Workloads;

/// <content>Crashes: of the run, and of recoveries from crashes, and of recoveries from those.</content>
public sealed partial class DiskWorkload
{
    private const int DepthMax = 3;

    // One recovery in so many is itself crashed at many of its operations, or meets a bad disk.
    private const int RecoveriesPerBadOne = 12;

    /// <summary>Called before every disk operation of the run: this is the instant at which the machine stops.</summary>
    private void BeforeOperation(DiskOperation operation)
    {
        if (_checking)
            return;
        if (!Changes(operation.Kind))
            return;
        Interleave();
        CountOperation(operation);
        if (_options.CrashEvery > 1 && !_crashRandom.OneIn(_options.CrashEvery))
            return;
        _checking = true;
        try
        {
            CrashKind kind = (CrashKind)_crashRandom.Next(5);
            int answered = _answered;
            if (_node is { } node)
            {
                while (answered < _positions.Count - 1 && _positions[answered + 1] <= node.Log.DurablePosition)
                    answered++;
            }

            // Whoever restarts the machine has seen to it that there is space.
            SimulatedFileSystem left = _disk.AfterCrash(_crashRandom.Fork(), kind);
            left.CapacityBytes = long.MaxValue;
            left.Latency = null;
            Count($"crashes with {kind}");
            Count($"crashes before {operation.Kind} of {AreaOf(operation.Path)}");
            Recover(left, answered, markerIsDue: false, depth: 0, _scheduler.Time.GetUtcNow(), $"crash ({kind}) before operation {operation}");
        }
        finally
        {
            _checking = false;
        }
    }

    private static bool Changes(DiskOperationKind kind) =>
        kind is not (DiskOperationKind.Read or DiskOperationKind.Look or DiskOperationKind.Open);

    /// <summary>Recovers a crashed disk, checks it, writes to it, and recovers it once more.</summary>
    private void Recover(SimulatedFileSystem disk, int answered, bool markerIsDue, int depth, DateTimeOffset now, string when)
    {
        _crashPoints++;
        bool bad = _options.Faults.HasFlag(DiskWorkloadFaults.Recovery) && depth < DepthMax && _crashRandom.OneIn(RecoveriesPerBadOne << depth);
        if (bad && _crashRandom.OneIn(3))
        {
            now = RecoverOnBadDisk(disk, answered, markerIsDue, now, when);
            when += ", the disk is good again";
        }

        try
        {
            // What a recovery has shown to readers must survive from then on, and so must what was written after it.
            int certain = answered;
            bool marked = markerIsDue;

            // Recoveries may wait, and what expires meanwhile is gone: time goes on from one to the next.
            SimulatedClock clock = new(now);
            if (bad)
            {
                disk.BeforeOperation = operation =>
                {
                    if (!Changes(operation.Kind) || !_crashRandom.OneIn(4))
                        return;
                    CrashKind kind = (CrashKind)_crashRandom.Next(5);
                    SimulatedFileSystem left = disk.AfterCrash(_crashRandom.Fork(), kind);
                    Count(depth == 0 ? "crashes inside a recovery" : "crashes inside the recovery from one inside a recovery");
                    Recover(left, certain, marked, depth + 1, clock.GetUtcNow(), $"{when}, and once more ({kind}) before operation {operation} of the recovery");
                };
            }

            int found;
            using (SimulatedNode first = new(disk, _crashRandom.Fork(), clock, this, Folder))
            {
                certain = found = CheckRecovered(first, answered, marked, when);
                marked = first.WriteMarker();
            }

            // A clean stop saves everything, whatever its durability.
            marked = true;
            disk.BeforeOperation = null;
            using SimulatedNode second = new(disk, _crashRandom.Fork(), new SimulatedClock(clock.GetUtcNow()), this, Folder);
            if (CheckRecovered(second, found, marked, when + ", recovered twice") != found)
                throw Broken($"{when}: transaction {found} was the last one there, and after a clean stop it is not");
        }
        catch (Exception e) when (e is not WorkloadFailedException)
        {
            throw Broken($"{when}: recovery failed with {e.GetType().Name}: {e.Message}", e);
        }
    }

    /// <summary>The number of the last transaction that is there, which must be one that may be.</summary>
    private int CheckRecovered(SimulatedNode world, int answered, bool marked, string when)
    {
        int found = FoundNumber(world.Node, when);
        if (found < answered)
            throw Broken($"{when}: transaction {answered} was answered, and only {found} are there");
        if (found >= _history.Count)
            throw Broken($"{when}: transaction {found} is there, and only {_history.Count - 1} were made");
        CheckContent(world.Node, found, when);
        if (marked && !world.HasMarker())
            throw Broken($"{when}: a write after the recovery did not survive");
        return found;
    }

    /// <summary>
    /// The disk is bad while it is recovered. The start may be refused, by an error that says why; or there is all that
    /// has to be, for whoever can read it. Nothing may be lost by it.
    /// </summary>
    private DateTimeOffset RecoverOnBadDisk(SimulatedFileSystem disk, int answered, bool markerIsDue, DateTimeOffset now, string when)
    {
        SimulatedClock clock = new(now);
        disk.Faults.Add(RandomRecoveryFault(disk, out string what));
        when += $", recovered on a disk with {what}";
        string fate = "refused";
        SimulatedNode? world = null;
        try
        {
            world = new SimulatedNode(disk, _crashRandom.Fork(), clock, this, Folder);
            fate = "done, then a read or write refused";
            int found = CheckRecovered(world, answered, markerIsDue, when);
            if (!markerIsDue && !_crashRandom.OneIn(3))
                world.TryWriteMarker();
            CheckRecovered(world, found, markerIsDue, when + ", after a write");
            fate = "done";
        }
        catch (StorageException)
        {
            // As it should be.
        }
        catch (Exception e) when (e is not WorkloadFailedException)
        {
            throw Broken($"{when}: {e.GetType().Name}: {e.Message}", e);
        }

        try
        {
            world?.Dispose();
        }
        catch (StorageException)
        {
            Count("stops that could not save what was unanswered");
        }

        Count($"recoveries on a disk with {what}: {fate}");
        disk.Faults.Clear();
        disk.CapacityBytes = long.MaxValue;
        return clock.GetUtcNow();
    }

    private FaultRule RandomRecoveryFault(SimulatedFileSystem disk, out string what)
    {
        int skip = _crashRandom.Next(_crashRandom.OneIn(2) ? 12 : 120);
        int times = _crashRandom.Next(1, 4);
        switch (_crashRandom.Next(5))
        {
            case 0:
                what = "no space";
                disk.CapacityBytes = long.MaxValue - disk.FreeBytes(Folder) + _crashRandom.Next(64 << 10);
                return new FaultRule(DiskFault.None) { Times = 0 };
            case 1:
                what = "flipped bits in what it reads";
                return new FaultRule(DiskFault.FlipBit, DiskOperationKind.Read) { Skip = skip, Times = times };
            case 2:
                what = "failing reads";
                DiskOperationKind reading = _crashRandom.Next(3) switch
                {
                    0 => DiskOperationKind.Open,
                    1 => DiskOperationKind.Look,
                    _ => DiskOperationKind.Read,
                };
                return new FaultRule(DiskFault.Failed, reading) { Skip = skip, Times = times };
            default:
                what = "failing writes";
                return new FaultRule(DiskFault.Failed, s_failing[_crashRandom.Next(s_failing.Length)]) { Skip = skip / 3, Times = times };
        }
    }

    /// <summary>A node on a recovered disk, in a world of its own.</summary>
    private sealed class SimulatedNode : IDisposable
    {
        public static readonly byte[] MarkerKey = "~marker"u8.ToArray();

        private readonly SimulatedScheduler _scheduler;

        public SimulatedNode(IFileSystem disk, SeededRandom random, SimulatedClock clock, DiskWorkload owner, string folder)
        {
            _scheduler = new SimulatedScheduler(random, clock);
            Node = owner.Open(disk, _scheduler, folder, random.NextUInt64());
        }

        public KvasirNode Node { get; }

        /// <summary>Whether it is durable, too.</summary>
        public bool WriteMarker()
        {
            TryWriteMarker();
            return Node.Log.DurablePosition >= Node.Log.AppendedPosition;
        }

        /// <summary>Asks for a write, and lets the background do what it can about it.</summary>
        public void TryWriteMarker()
        {
            if (Node.Refusal is not null)
                return;
            Node.Mailbox.Post(new TransactionItem([e => e.Put(Node.Database(0), MarkerKey, [], MarkerKey, 0)]));
            Node.Log.Commit();
            _scheduler.RunAll();
        }

        public bool HasMarker() => Node.Database(0).Engine.Get(MarkerKey, ReadView.Published, value: null).Found;

        public void Dispose()
        {
            Node.Dispose();
            _scheduler.RunAll();
        }
    }
}
