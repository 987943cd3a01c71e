using System.Text;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Journal;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Tests.Nodes;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Network;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Tests.Groups;

/// <summary>One node of a <see cref="GroupCluster"/>: it dies with all that is not on its disk, and comes back from that.</summary>
internal sealed class GroupNode : ITransportListener, ILogListener
{
    private readonly GroupCluster _cluster;
    private readonly SeededRandom _random;
    private readonly List<TestWrite> _open = [];
    private GroupHost? _host;
    private GroupJournal? _journal;
    private ReplicaMailbox? _mailbox;
    private int _writes;

    public GroupNode(GroupCluster cluster, NodeId id)
    {
        _cluster = cluster;
        _random = cluster.Random.Fork();
        Id = id;
        Disk = new SimulatedFileSystem(_random.Fork());
        Scheduler = new SimulatedScheduler(_random.Fork(), cluster.Clock);
        Transport = cluster.Network.Join(id, this);
    }

    public NodeId Id { get; }

    public SimulatedFileSystem Disk { get; private set; }

    public SimulatedScheduler Scheduler { get; private set; }

    public SimulatedTransport Transport { get; }

    public GroupHost Host => _host!;

    public GroupJournal Journal => _journal!;

    public bool IsDown => Transport.IsDown;

    /// <summary>Of the messages that came, in bytes.</summary>
    public int LargestReceived { get; private set; }

    /// <summary>Its disk answers nothing.</summary>
    public bool IsStalled { get; set; }

    public RaftGroup Group(GroupId id)
    {
        Assert.True(Host.TryFind(id, out RaftGroup? group));
        return group;
    }

    public void Start()
    {
        Scheduler = new SimulatedScheduler(_random.Fork(), _cluster.Clock);
        _host = new GroupHost(Id, _cluster.Options, Scheduler.Time, _random.Fork()) { Listener = this };
        var options = new JournalOptions { FirstSegmentBytes = 64 << 10, SegmentBytes = 256 << 10 };
        _journal = GroupJournal.Open(Disk, Scheduler, "/data/journal", options, Id, Host.Durable, Host.Failed);
        _mailbox = new ReplicaMailbox(Host.EndTurn);
        Host.Start(_journal, Transport, _mailbox);
        Do(_ =>
        {
            var environment = new EngineEnvironment(Disk, Scheduler, new MemoryBudget(MemoryBudget.MinimumBytes)) { KeepsDigest = true };
            foreach (GroupId id in _cluster.GroupIds)
            {
                RaftRecovery recovery = _journal.Recovered.TryGetValue(id, out RaftRecovery? found) ? found : _journal.Found(id, _cluster.Founders);
                IStorageEngine engine = _cluster.Engines.Open($"/data/replicas/{id}", environment);
                Host.Open(id, recovery, new KeyspaceOptions { Name = $"shard{id}", Engine = _cluster.Engines.Name }, engine);
            }
        });
    }

    public void Do(Action<Execution> action) => _mailbox!.Post(new ActionItem(action));

    public void Post(IMailboxItem item) => _mailbox!.Post(item);

    /// <summary>What is in the background, now or the next time.</summary>
    public void Work()
    {
        while (!IsDown && !IsStalled && _random.OneIn(2) && Scheduler.RunOne())
        {
        }
    }

    public void Crash(CrashKind kind)
    {
        Transport.Crash();
        Host.Dispose();
        Disk = Disk.AfterCrash(_random.Fork(), kind);
        foreach (TestWrite write in _open)
            write.IsLost = true;
        _open.Clear();
    }

    public void Restart()
    {
        Transport.Restart();
        Start();
    }

    public TestWrite Write(GroupId group, int bytes = 20)
    {
        TestWrite? write = null;
        string key = $"{Id}-{++_writes}";
        string value = new((char)('a' + _random.Next(26)), bytes);
        Do(execution =>
        {
            Replica replica = Group(group).Replica;
            Assert.Null(replica.Log.Refusal);
            execution.Put(replica, Encoding.UTF8.GetBytes(key), [], Encoding.UTF8.GetBytes(value), 0);
            execution.Commit();
            Gate gate = execution.TakeGate();
            Assert.Same(replica.Log, gate.Log);
            write = new TestWrite(group, key, value, Group(group), gate.Position);
            _open.Add(write);
            _cluster.Writes.Add(write);
        });
        return write!;
    }

    /// <summary>Keys and values of the replica, in order.</summary>
    public string Content(GroupId group, ReadView? view = null)
    {
        var content = new StringBuilder();
        using EngineScan iterator = Group(group).Replica.Engine.CreateScan(new IteratorOptions { View = view ?? ReadView.Published });
        for (iterator.SeekToFirst(); iterator.Valid; iterator.Next())
            content.Append(Encoding.UTF8.GetString(iterator.Key)).Append('=').Append(Encoding.UTF8.GetString(iterator.Value)).Append(';');
        return content.ToString();
    }

    public void Durable(IReplicaLog log, LogPosition position)
    {
        foreach (TestWrite write in _open.Where(w => w.Log == log && w.Position <= position))
            write.IsAcknowledged = true;
        _open.RemoveAll(w => w.IsAcknowledged);
    }

    public void Failed(IReplicaLog log, LogPosition durable, LogLoss loss, string reason)
    {
        foreach (TestWrite write in _open.Where(w => w.Log == log && w.Position > durable))
        {
            write.IsLost = true;
            write.IsOverruled = loss == LogLoss.Overruled;
            write.IsUnresolved = loss == LogLoss.Unresolved;
        }

        _open.RemoveAll(w => w.IsOverruled || w.IsUnresolved);
    }

    public void Received(NodeId from, ReadOnlySpan<byte> message)
    {
        LargestReceived = Math.Max(LargestReceived, message.Length);
        Host.Gather(from, message);
    }

    public void Settled() => Host.Settled();

    public void Connected(NodeId peer) => Host.PeerConnected(peer);

    public void Disconnected(NodeId peer) => Host.PeerDisconnected(peer);

    public void Writable(NodeId peer)
    {
    }
}
