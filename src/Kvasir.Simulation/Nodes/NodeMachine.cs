using System.Globalization;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Network;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Files;

namespace Kvasir.Simulation.Nodes;

/// <summary>
/// A machine: its disk and its clock outlive the processes that run the node on it, one after another. When its disk is emptied
/// another node begins on it, at the same address, and is given a number by the cluster.
/// </summary>
internal sealed class NodeMachine : ITransportListener
{
    private const int Zones = 3;
    private static readonly TimeSpan s_restartPause = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_handOverPatience = TimeSpan.FromSeconds(1);

    private readonly SeededRandom _random;

    // Groups with copies whose files were damaged, and which copies that were; none: nobody knows whose file it is.
    private readonly SortedList<GroupId, uint> _rotten = [];
    private bool _isFounder;

    /// <param name="world">Where it is.</param>
    /// <param name="id">The number that its node is given, or nobody's when that is left to the cluster.</param>
    /// <param name="isFounder">Its node founds the cluster.</param>
    public NodeMachine(ClusterWorld world, NodeId id, bool isFounder)
    {
        World = world;
        _random = world.Random.Fork();
        _isFounder = isFounder;
        Clock = new NodeClock(world.Events.Clock);
        Disk = new SimulatedFileSystem(_random.Fork());
        Link = world.Network.Join(id, this);
        Zone = $"zone={(char)('a' + (world.Machines.Count % Zones))}";
    }

    public ClusterWorld World { get; }

    /// <summary>The number of the node that is on it; one that no node has until it is known.</summary>
    public NodeId Id => Link.Self;

    public NodeClock Clock { get; }

    public SimulatedFileSystem Disk { get; private set; }

    public SimulatedTransport Link { get; }

    /// <summary>Its node's locality.</summary>
    public string Zone { get; }

    /// <summary>Null: no process runs.</summary>
    public NodeProcess? Process { get; private set; }

    public bool IsDown => Process is null;

    /// <summary>It is not started, whoever wants to.</summary>
    public bool IsKeptDown { get; set; }

    /// <summary>Nothing that goes to the disk in the background comes to an end before.</summary>
    public TimeSpan StalledUntil { get; private set; }

    /// <summary>Bits of its files were flipped.</summary>
    public bool IsRotten { get; private set; }

    /// <summary>They were at some time since its disk was emptied.</summary>
    public bool WasRotten { get; private set; }

    /// <summary>What is damaged are copies of shards that are known, and not the directory.</summary>
    public bool MayHealItself => _rotten.Count > 0 && !_rotten.ContainsKey(GroupId.Directory) && !_rotten.ContainsKey(GroupId.None);

    public IReadOnlyList<PeerAddress> Seeds =>
        _isFounder ? [] : [.. World.Machines.Where(m => m != this).Select(m => m.Link.Address with { Node = NodeId.None })];

    public void StallDisk(TimeSpan time) => StalledUntil = World.Events.Now + time;

    /// <summary>A process is started; where the disk does not let it, another a moment later.</summary>
    public void Start()
    {
        if (!IsDown || IsKeptDown)
            return;
        if (Link.IsDown)
            Link.Restart();
        Clock.Boot(_random, World.Settings.ClockDriftMax * 0.9);
        var process = new NodeProcess(this, _random.Fork());
        Process = process;
        try
        {
            process.Start();
            World.Invariants.Look(this);
        }
        catch (StorageException e) when (IsRotten || Disk.Faults.Count > 0)
        {
            DieOfDisk(process, e);
        }
    }

    /// <summary>Empties the disk of a machine that is down: its node is gone for ever, and another begins.</summary>
    public void Wipe()
    {
        Check.That(IsDown);
        World.Coverage.Add("disks emptied");
        if (World.IsTold)
            World.Tell($"the disk of node {Id} is emptied");
        Disk = new SimulatedFileSystem(_random.Fork());
        (IsRotten, WasRotten, _isFounder) = (false, false, false);
        _rotten.Clear();
        Link.Rename(World.NextUnknown());
    }

    /// <summary>Flips some bits of files that lie there.</summary>
    public void Rot(SeededRandom random)
    {
        string[] paths = [.. Disk.Paths.Where(p => p.StartsWith("/data/replicas/", StringComparison.Ordinal) && Disk.FileLength(p) > 0)];
        if (paths.Length == 0)
            return;
        IsRotten = WasRotten = true;
        for (int i = random.Next(1, 30); i > 0; i--)
        {
            string path = paths[random.Next(paths.Length)];
            Disk.FlipBit(path, random.Next((int)Disk.FileLength(path)), random.Next(8));
            if (uint.TryParse(path.Split('/')[3].Split('.')[0], NumberStyles.None, CultureInfo.InvariantCulture, out uint number)
                && Process is { Node.Host: { } host } && host.TryFind(new GroupId(number), out RaftGroup? group))
                _rotten[group.Id] = group.Member.Id.Generation;
            else
                _rotten[GroupId.None] = 0;
        }

        World.Coverage.Add("disks that rot");
        if (World.IsTold)
            World.Tell($"files of node {Id} rot");
    }

    /// <summary>
    /// All of its files are read, and what is damaged is found; true when nothing is damaged any more, since the cluster has put other
    /// copies in the place of those that were.
    /// </summary>
    public bool TryScrub()
    {
        if (Process is not { Node.Host: { } host } process || Link.IsPaused)
            return false;
        foreach ((GroupId id, uint generation) in _rotten)
        {
            if (!host.TryFind(id, out RaftGroup? group) || group.Member.Id.Generation > generation)
                continue;
            if (!group.IsOut)
                Happen(process, () => process.Node!.Mailbox.Post(new FoundDamage(group)));
            return false;
        }

        IsRotten = false;
        _rotten.Clear();
        return true;
    }

    /// <summary>The process ends, or the machine with it. Not from inside of the process.</summary>
    public void Crash(CrashKind kind, bool isClean = false)
    {
        if (Process is not { } process)
            return;
        World.Coverage.Add(isClean ? "clean stops" : $"crashes: {kind}");
        if (World.IsTold)
            World.Tell($"node {Id} {(isClean ? "is stopped" : $"crashes: {kind}")}");
        if (isClean)
            Bury(process);
        End(process);
        SimulatedFileSystem disk = Disk;
        Disk = disk.AfterCrash(_random.Fork(), kind);
        foreach (FaultRule fault in disk.Faults)
            Disk.Faults.Add(fault);
        if (isClean)
            return;
        disk.Faults.Clear();
        Bury(process);
    }

    /// <summary>The process is told to stop: it hands over what it leads, and ends soon afterwards.</summary>
    public void Stop(Action stopped)
    {
        if (Process is not { Node: { } node } process)
            return;
        bool isOver = false;
        process.Happen(() => node.HandOver(s_handOverPatience, left =>
        {
            World.Coverage.Add(left == 0 ? "stops after handing over" : "stops without handing over");
            World.Events.After(TimeSpan.Zero, End);
        }));
        World.Events.After(2 * s_handOverPatience, End);

        void End()
        {
            if (isOver || process != Process || Link.IsPaused)
                return;
            isOver = true;
            Crash(CrashKind.ProcessKill, isClean: true);
            stopped();
        }
    }

    /// <summary>Something happens to the process: now, when it goes on, or not at all when it is over.</summary>
    public void Happen(NodeProcess process, Action action)
    {
        if (process != Process)
            return;
        Link.Run(() =>
        {
            if (process == Process)
                Do(process, action);
        });
    }

    public void Ask(ClientRequest request, Action<ClientReply> reply)
    {
        if (Process is { Node: not null } process)
            Happen(process, () => process.Ask(request, reply));
        else
            reply(ClientReply.Refused(NodeId.None));
    }

    /// <summary>
    /// Restarts a node that takes no more writes because its disk has failed, as its operator would. One whose disk was full goes
    /// on by itself.
    /// </summary>
    public void Supervise()
    {
        if (Process is not { Node.Log.Refusal: { } refusal } || Link.IsPaused)
            return;
        if (refusal.Code == WriteRefusal.FullDisk)
        {
            World.Coverage.Add("seconds with a full disk");
            return;
        }

        World.Coverage.Add("restarts of nodes that refuse");
        Crash(CrashKind.ProcessKill);
        World.Events.After(s_restartPause, Start);
    }

    void ITransportListener.Received(NodeId from, ReadOnlySpan<byte> message)
    {
        byte[] copy = message.ToArray();
        Tell(listener => listener.Received(from, copy));
    }

    void ITransportListener.Settled() => Tell(static listener => listener.Settled());

    void ITransportListener.Connected(NodeId peer) => Tell(listener => listener.Connected(peer));

    void ITransportListener.Disconnected(NodeId peer) => Tell(listener => listener.Disconnected(peer));

    void ITransportListener.Writable(NodeId peer) => Tell(listener => listener.Writable(peer));

    void ITransportListener.Called(CallTicket call, ReadOnlySpan<byte> request)
    {
        byte[] copy = request.ToArray();
        Tell(listener => listener.Called(call, copy));
    }

    /// <summary>The world ends.</summary>
    public void Abandon()
    {
        if (Process is not { } process)
            return;
        End(process);
        Disk.Faults.Clear();
        try
        {
            Bury(process);
        }
        catch (Exception e) when (e is InvariantViolationException or SimulatedDeadlockException)
        {
            // What failed before has left it in the middle of something.
        }
    }

    private void Tell(Action<ITransportListener> news)
    {
        if (Process is { Listener: { } listener } process)
            Do(process, () => news(listener));
    }

    private void Do(NodeProcess process, Action action)
    {
        try
        {
            action();
        }
        catch (StorageException e) when (Disk.Faults.Count > 0)
        {
            DieOfDisk(process, e);
            return;
        }

        if (process == Process)
            World.Invariants.Look(this);
    }

    private void DieOfDisk(NodeProcess process, StorageException cause)
    {
        if (process != Process)
            return;
        World.Coverage.Add("processes that died of their disks");
        if (World.IsTold)
            World.Tell($"node {Id} dies of its disk: {cause.Message}");
        End(process);
        SimulatedFileSystem disk = Disk;
        Disk = disk.AfterCrash(_random.Fork(), CrashKind.ProcessKill);
        foreach (FaultRule fault in disk.Faults)
            Disk.Faults.Add(fault);
        World.Events.After(s_restartPause, Start);
    }

    private void End(NodeProcess process)
    {
        Process = null;
        Link.Crash();
        process.End();
    }

    private sealed class FoundDamage(RaftGroup group) : IMailboxItem
    {
        public void Run(Execution execution) => group.Damaged(new CorruptionException($"files of shard {group.Id}", 0, "so a scrub says"));
    }

    private static void Bury(NodeProcess process)
    {
        try
        {
            process.Bury();
        }
        catch (StorageException)
        {
            // Whatever it could not do any more is lost, as it says.
        }
    }
}
