using System.Runtime.InteropServices;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Replication;
using Kvasir.Simulation.Network;
using Kvasir.Simulation.Scheduling;

namespace Kvasir.Simulation.Clusters;

/// <summary>
/// One process with the real <see cref="RaftMember"/> in it: keeps its entries, drives its disk and its clock, carries its
/// messages, applies what is committed to a <see cref="RegisterMachine"/>, and serves clients.
/// </summary>
internal sealed partial class SimulatedRaftNode : ITransportListener, IEntrySizes
{
    private static readonly TimeSpan s_probeInterval = TimeSpan.FromMilliseconds(400);
    private static readonly TimeSpan s_snapshotTime = TimeSpan.FromSeconds(2);

    private readonly RaftWorld _world;
    private readonly SeededRandom _random;
    private readonly PacketWriter _writer = new();
    private readonly Ready _ready = new();
    private readonly List<SimulatedEntry> _entries = [];
    private readonly List<ulong> _chains = [];
    private RegisterMachine _machine = new();
    private (SimulatedImage Image, MemberId From)? _offered;
    private SimulatedImage? _image;
    private LogIndex _base;
    private ulong _baseChain;
    private TimeSpan _diskFree;
    private TimeSpan _diskStalledUntil;
    private TimeSpan _wakeScheduled = TimeSpan.MaxValue;
    private Configuration _inForce = Configuration.Empty;
    private int _life;

    public SimulatedRaftNode(RaftWorld world, MemberId id, Configuration founding)
    {
        _world = world;
        _random = world.Random.Fork();
        Id = id;
        Disk = new RaftDisk(founding);
        Clock = new NodeClock(world.Events.Clock);
        Transport = world.Network.Join(new NodeId(id.Value), this);
        Raft = Boot();
    }

    public MemberId Id { get; }

    public RaftDisk Disk { get; }

    public NodeClock Clock { get; }

    public SimulatedTransport Transport { get; }

    public RaftMember Raft { get; private set; }

    public bool IsDown => Transport.IsDown;

    public ulong StateHash => _machine.Hash;

    public bool TryChainAt(LogIndex index, out ulong chain)
    {
        chain = 0;
        if (index < _base || index > _base + (ulong)_entries.Count)
            return index < _base && LeavesToSnapshot(index, out chain);
        chain = index == _base ? _baseChain : _chains[(int)(index - _base) - 1];
        return true;
    }

    public LogIndex Fit(LogIndex first, LogIndex last, long bytesMax, out long bytes)
    {
        bytes = 0;
        LogIndex at = first;
        for (; at <= last; at = at.Next)
        {
            long size = Entry(at).Data.Length + 8;
            if (at > first && bytes + size > bytesMax)
                break;
            bytes += size;
        }

        return at.Previous;
    }

    public void Crash()
    {
        int survivors = _random.Next(Disk.WritesPending + 1);
        _world.Tell($"{Id} crashes; {survivors} of {Disk.WritesPending} writes under way survive");
        Transport.Crash();
        Disk.Crash(survivors);
        DropClients();
    }

    public void Restart()
    {
        Transport.Restart();
        _world.Tell($"{Id} starts with term {Disk.HardState.Term}, vote {Disk.HardState.Vote}, log {Disk.Base.Index} to {Disk.LastIndex}");
        Raft = Boot();
        Happen(_ => { });
    }

    public void StallDisk(TimeSpan time) => _diskStalledUntil = _world.Events.Now + time;

    /// <summary>Something happens to this member; then it does what it wants to do, and all is looked at.</summary>
    public void Happen(Action<TimeSpan> act) => Transport.Run(() =>
    {
        _inForce = Raft.Configuration;
        act(Clock.Monotonic);
        _world.Invariants.Look(this, _world.Events.Now, _inForce);
        Drain();
        ScheduleWake();
    });

    public void Received(NodeId from, ReadOnlySpan<byte> message)
    {
        RaftPacket packet = RaftPacket.Decode(message);
        Happen(now => Step(now, new MemberId(from.Value), packet));
    }

    public void Connected(NodeId peer) => Happen(now => Raft.PeerAlive(now, new MemberId(peer.Value)));

    public void Disconnected(NodeId peer) => Happen(now =>
    {
        Raft.PeerUnreachable(now, new MemberId(peer.Value));
        Raft.PeerSuspected(now, new MemberId(peer.Value));
    });

    public void Writable(NodeId peer) => Happen(now => Raft.PeerUnreachable(now, new MemberId(peer.Value)));

    /// <summary>A snapshot of what is applied and durable; what it holds leaves the log.</summary>
    public SimulatedImage? Compact()
    {
        LogIndex index = Raft.AppliedIndex;
        if (index <= _base || index > Raft.SyncedIndex)
            return _image;
        Check.That(Raft.TryTermAt(index, out Term term) & TryChainAt(index, out ulong chain));
        var image = new SimulatedImage(index, term, Raft.ConfigurationAt(index), chain, _machine.Save(_writer));
        Disk.Compact(image);
        Raft.Compact(index);
        int gone = (int)(index - _base);
        _entries.RemoveRange(0, gone);
        _chains.RemoveRange(0, gone);
        (_base, _baseChain, _image) = (index, chain, image);
        _world.Coverage.Add("logs compacted");
        return image;
    }

    private RaftMember Boot()
    {
        _life++;
        Clock.Boot(_random, _world.Settings.ClockDriftMax * 0.99);
        _entries.Clear();
        _chains.Clear();
        (_base, _baseChain) = (Disk.Base.Index, Disk.Base.Chain);
        _image = _base > LogIndex.Zero ? Disk.Base : null;
        _offered = null;
        _machine = RegisterMachine.Load(Disk.Base.State);
        foreach (SimulatedEntry entry in Disk.Entries)
            Add(entry);
        (_diskFree, _diskStalledUntil, _wakeScheduled) = (TimeSpan.Zero, TimeSpan.Zero, TimeSpan.MaxValue);
        Raft = new RaftMember(_world.Settings, Disk.Recovery(Id), this, _random, Clock.Monotonic);
        ScheduleWake();
        Probe(_life);
        return Raft;
    }

    private void Step(TimeSpan now, MemberId from, RaftPacket packet)
    {
        if (packet.IsSnapshotTaken)
        {
            Raft.SnapshotFinished(now, from, packet.Installed);
            return;
        }

        if (_world.IsTold)
            _world.Tell($"{Id} gets {Describe(packet)}");
        StepOutcome outcome = Raft.Step(now, packet.Message);
        for (LogIndex i = outcome.First; outcome.HasEntries && i <= outcome.Last; i = i.Next)
            Keep(i, packet.Entries[(int)(i - packet.Message.Index) - 1]);
        if (outcome.TakesSnapshot)
            _offered = (packet.Image!, from);
    }

    private void Drain()
    {
        while (Raft.HasReady && !IsDown)
        {
            Raft.TakeReady(_ready);
            if (_ready.RoleChanged)
                ChangeRole();
            foreach (OwnEntry own in _ready.OwnEntries)
                Keep(own.Index, new SimulatedEntry(own.Term, own.Kind, [], own.Configuration));
            _world.Invariants.Look(this, _world.Events.Now, _inForce);
            Persist();
            foreach (RaftMessage message in _ready.Messages)
                Send(message);
            foreach (SnapshotWanted wanted in _ready.SnapshotsWanted)
                SendSnapshot(wanted);
            PreferSnapshots();
            TakeReads();
            if (_offered is { } offer)
                Install(offer.Image, offer.From);
            Apply();
        }
    }

    private void ChangeRole()
    {
        _world.Trace.Add(((ulong)_ready.Role << 56) ^ (_ready.Term.Value << 8) ^ Id.Value);
        if (_world.IsTold)
            _world.Tell($"{Id} is {_ready.Role} of term {_ready.Term}{(_ready.Leader.IsNone ? "" : $", led by {_ready.Leader}")}");
        if (_ready.Role == RaftRole.Leader)
            _world.Coverage.Add("leaders elected");
        DropTickets();
    }

    private void Persist()
    {
        PersistRequest request = _ready.Persist;
        if (request.IsNone)
            return;
        SimulatedEntry[] entries = request.HasEntries
            ? CollectionsMarshal.AsSpan(_entries).Slice((int)(request.First - _base) - 1, (int)(request.Last - request.First) + 1).ToArray()
            : [];
        Disk.Begin(request, entries, request.ResetsLog ? _image : null);
        int life = _life;
        _world.Events.At(DiskAnswersAt(), () =>
        {
            if (_life != life || IsDown)
                return;
            WriteNumber done = Disk.Complete();
            Happen(now => Raft.Synced(now, done));
        });
    }

    /// <summary>Writes are durable in their order, each after a while, and none while the disk hangs.</summary>
    private TimeSpan DiskAnswersAt()
    {
        TimeSpan start = _world.Events.Now > _diskFree ? _world.Events.Now : _diskFree;
        start = start > _diskStalledUntil ? start : _diskStalledUntil;
        return _diskFree = start + TimeSpan.FromTicks(_random.Next(500, _random.OneIn(50) ? 200_000 : 20_000));
    }

    /// <summary>Other groups of a node keep its disk busy: a sync now and then shows that it answers.</summary>
    private void Probe(int life) => _world.Events.After(s_probeInterval, () =>
    {
        if (_life != life || IsDown)
            return;
        TimeSpan began = Clock.Monotonic;
        if (_world.Events.Now >= _diskStalledUntil)
            Happen(now => Raft.DiskSynced(now, began));
        Probe(life);
    });

    private void ScheduleWake()
    {
        if (IsDown || Raft.WakeAt == TimeSpan.MaxValue)
            return;
        TimeSpan at = _world.Events.Now + Clock.Until(Raft.WakeAt);
        if (at >= _wakeScheduled)
            return;
        _wakeScheduled = at;
        int life = _life;
        _world.Events.At(at, () =>
        {
            // An earlier one may have been asked for since; then this is a wake-up for nothing, and harmless.
            if (_life != life)
                return;
            if (_wakeScheduled == at)
                _wakeScheduled = TimeSpan.MaxValue;
            Happen(Raft.Tick);
        });
    }

    private void Send(in RaftMessage message)
    {
        SimulatedEntry[] entries = message.HasEntries
            ? CollectionsMarshal.AsSpan(_entries).Slice((int)(message.Index - _base), (int)(message.LastIndex - message.Index)).ToArray()
            : [];
        Post(message.To, new RaftPacket(message, entries, null, LogIndex.Zero));
    }

    private void Post(MemberId to, RaftPacket packet)
    {
        if (Transport.Send(new NodeId(to.Value), packet.Encode(_writer)) == SendOutcome.Full)
            _world.Coverage.Add("links found full");
    }

    // Now and then, where nothing speaks for it: it must never do harm.
    private void PreferSnapshots()
    {
        if (_ready.Role != RaftRole.Leader || _image is null || !_random.OneIn(200))
            return;
        foreach (MemberId member in Raft.Configuration.Members)
        {
            if (member != Id && Raft.TryPreferSnapshot(Clock.Monotonic, member))
                _world.Coverage.Add("snapshots preferred");
        }
    }

    private void SendSnapshot(SnapshotWanted wanted)
    {
        SimulatedImage? image = _image is { } present && present.Index >= wanted.AtLeast ? present : Compact();
        Check.That(image is not null && image.Index >= wanted.AtLeast);
        var offer = new RaftMessage
        {
            Kind = MessageKind.SnapshotOffer,
            From = Id,
            To = wanted.To,
            Term = wanted.Term,
            Index = image.Index,
            LogTerm = image.Term,
        };
        _world.Coverage.Add("snapshots sent");
        Post(wanted.To, new RaftPacket(offer, [], image, LogIndex.Zero));

        // What was not taken by then counts as lost; for what was, this comes too late to matter.
        int life = _life;
        _world.Events.After(s_snapshotTime, () =>
        {
            if (_life == life)
                Happen(now => Raft.SnapshotFinished(now, wanted.To, LogIndex.Zero));
        });
    }

    private void Install(SimulatedImage image, MemberId from)
    {
        _offered = null;
        bool installs = Raft.TryInstallSnapshot(Clock.Monotonic, image.Index, image.Term, image.Configuration);
        if (_world.IsTold)
            _world.Tell($"{Id} {(installs ? "takes" : "needs no")} snapshot {image.Index} of {from}");
        if (installs)
        {
            _world.Coverage.Add("snapshots installed");
            _entries.Clear();
            _chains.Clear();
            (_base, _baseChain, _image) = (image.Index, image.Chain, image);
            _machine = RegisterMachine.Load(image.State);
            _world.Invariants.Applied(this, _base, _baseChain, _machine.Hash);
        }

        Post(from, RaftPacket.Taken(image.Index));
    }

    private void Apply()
    {
        if (Raft.AppliedIndex >= Raft.CommitIndex)
            return;
        for (LogIndex i = Raft.AppliedIndex.Next; i <= Raft.CommitIndex; i = i.Next)
        {
            SimulatedEntry entry = Entry(i);
            _machine.Pass(entry);
            Histories.HistoryValue answer = entry.Kind == EntryKind.Normal ? _machine.Apply(MachineCommand.Decode(entry.Data)) : default;
            TryChainAt(i, out ulong chain);
            _world.Invariants.Applied(this, i, chain, _machine.Hash);
            Answer(i, entry.Term, answer);
        }

        Raft.Applied(Clock.Monotonic, Raft.CommitIndex);
        AnswerReads();
        if (_entries.Count > _world.LogEntriesMax)
            Compact();
    }

    private SimulatedEntry Entry(LogIndex index) => _entries[(int)(index - _base) - 1];

    private void Keep(LogIndex index, SimulatedEntry entry)
    {
        int at = (int)(index - _base) - 1;
        Check.That(at >= 0 && at <= _entries.Count, $"entry {index} is kept in a log from {_base} with {_entries.Count} entries");
        Check.That(Raft.TryTermAt(index, out Term term) && term == entry.Term, $"entry {index} is of term {entry.Term}, and the log says {term}");
        _entries.RemoveRange(at, _entries.Count - at);
        _chains.RemoveRange(at, _chains.Count - at);
        Add(entry);
        _world.Invariants.Kept(this, index, entry.Term, _chains[^1]);
    }

    private void Add(SimulatedEntry entry)
    {
        _entries.Add(entry);
        _chains.Add(SimulatedEntry.Chain(_chains.Count == 0 ? _baseChain : _chains[^1], entry.Hash));
    }

    /// <summary>What a snapshot took the place of is there, in a way: its own end vouches for it.</summary>
    private bool LeavesToSnapshot(LogIndex index, out ulong chain) => _world.Invariants.TryCommitted(index, out chain);

    private static string Describe(RaftPacket packet)
    {
        RaftMessage m = packet.Message;
        string entries = m.HasEntries ? $" with {m.Index.Next}-{m.LastIndex} of term {m.EntryTerm}" : "";
        string flags = m.Flags == MessageFlags.None ? "" : $" ({m.Flags})";
        return $"{m.Kind}{flags} of {m.From}, term {m.Term}, index {m.Index} of term {m.LogTerm}{entries}, commit {m.Commit}{(m.Configuration is { } c ? $", {c}" : "")}";
    }
}
