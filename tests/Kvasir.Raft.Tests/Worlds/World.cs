using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Tests.Worlds;

/// <summary>Members, the messages between them, and one clock. Nothing happens by itself.</summary>
internal sealed class World(RaftSettings settings, ulong seed = 1)
{
    private readonly SortedDictionary<MemberId, TestMember> _members = [];
    private readonly List<Envelope> _wire = [];

    /// <summary>Never zero: a heartbeat's time would look like none.</summary>
    public TimeSpan Now { get; private set; } = TimeSpan.FromSeconds(100);

    public List<Envelope> Wire => _wire;

    public IEnumerable<TestMember> Members => _members.Values;

    public Action<string>? Trace { get; set; }

    public Action<LogIndex, MemberId, LogEntry>? OnApply { get; set; }

    public TestMember this[ulong id] => _members[new MemberId(id)];

    public static MemberId[] Ids(params ulong[] ids) => [.. ids.Select(i => new MemberId(i))];

    public static World Of(RaftSettings settings, params ulong[] voters)
    {
        var world = new World(settings);
        foreach (ulong id in voters)
            world.Add(id, new Configuration(Ids(voters)));
        return world;
    }

    public TestMember Add(ulong id, Configuration founding, RaftSettings? own = null)
    {
        var disk = new DurableState();
        disk.Base = disk.Base with { Configuration = new(LogIndex.Zero, Term.Zero, founding) };
        return Add(id, disk, own);
    }

    public TestMember Add(ulong id, DurableState disk, RaftSettings? own = null)
    {
        var member = new TestMember(own ?? settings, disk, new MemberId(id), (seed * 1000) + id, Now) { Trace = t => Trace?.Invoke(t) };
        member.OnApply = (index, entry) => OnApply?.Invoke(index, member.Id, entry);
        _members.Add(member.Id, member);
        return member;
    }

    public void Advance(TimeSpan by) => Now += by;

    public void Drain()
    {
        foreach (TestMember member in _members.Values)
        {
            if (!member.IsDown)
                member.Drain(Now, _wire.Add);
        }
    }

    /// <summary>Time passes in steps; whose time has come is woken; all messages arrive and all disks are quick.</summary>
    public void Run(TimeSpan time, int stepMilliseconds = 5)
    {
        TimeSpan end = Now + time;
        while (Now < end)
        {
            Advance(TimeSpan.FromMilliseconds(stepMilliseconds));
            Tick();
            Settle();
        }
    }

    public void Tick()
    {
        foreach (TestMember member in _members.Values)
        {
            if (!member.IsDown)
                member.Raft.Tick(Now);
        }

        Drain();
    }

    /// <summary>Disks complete and messages arrive until there is nothing left.</summary>
    public void Settle(Func<Envelope, bool>? loses = null)
    {
        Drain();
        for (int round = 0; ; round++)
        {
            Assert.True(round < 1000, "the members never come to rest");
            bool moved = false;
            foreach (TestMember member in _members.Values)
                moved |= !member.IsDown && member.Sync(Now);
            Drain();
            Envelope[] wire = [.. _wire];
            _wire.Clear();
            foreach (Envelope envelope in wire)
            {
                moved = true;
                if (loses?.Invoke(envelope) != true)
                    Deliver(envelope);
            }

            Drain();
            if (!moved && _wire.Count == 0)
                return;
        }
    }

    public void Deliver(Envelope envelope)
    {
        if (!_members.TryGetValue(envelope.Message.To, out TestMember? to) || to.IsDown)
            return;
        Trace?.Invoke(MessageText.Of(envelope));
        to.Receive(Now, envelope);
        to.Drain(Now, _wire.Add);
    }

    /// <summary>Makes a member leader, by its own campaign.</summary>
    public TestMember Elect(ulong id)
    {
        this[id].Raft.Campaign(Now);
        Settle();
        Assert.Equal(RaftRole.Leader, this[id].Raft.Role);
        return this[id];
    }
}
