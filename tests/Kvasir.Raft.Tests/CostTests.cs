using Kvasir.Primitives;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Replication;

namespace Kvasir.Raft.Tests;

/// <summary>What a group costs: nothing per entry while it works, and little memory while it sleeps.</summary>
public sealed class CostTests
{
    [Fact]
    public void AnEntryIsReplicatedCommittedAndReadWithoutAnAllocation()
    {
        Trio trio = Trio.Elected(new Ready());
        for (int i = 0; i < 2000; i++)
            trio.Turn();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10_000; i++)
            trio.Turn();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.True(trio.Committed > new LogIndex(36_000) && trio.Reads > 9_000);
    }

    [Fact]
    public void AQuietGroupOfThreeCostsLessThanTwoKilobytesAMember()
    {
        const int Groups = 300;
        var ready = new Ready();
        var groups = new Trio[Groups];
        // The first groups pay for what all share.
        Trio warm = Trio.Elected(ready);
        warm.Sleep();
        long before = GC.GetTotalMemory(forceFullCollection: true);
        for (int i = 0; i < Groups; i++)
        {
            groups[i] = Trio.Elected(ready);
            for (int turn = 0; turn < 20; turn++)
                groups[i].Turn();
            groups[i].Sleep();
        }

        long perMember = (GC.GetTotalMemory(forceFullCollection: true) - before) / (3 * Groups);
        GC.KeepAlive(groups);
        GC.KeepAlive(warm);
        Assert.True(perMember < 2048, $"{perMember} bytes a member");
    }

    /// <summary>Three members with nothing around them: messages go from one to the next at once, disks are instant.</summary>
    private sealed class Trio : IEntrySizes
    {
        private static readonly RaftSettings s_settings = new();
        private readonly RaftMember[] _members = new RaftMember[3];
        private readonly Ready _ready;
        private readonly Queue<RaftMessage> _wire;
        private TimeSpan _now = TimeSpan.FromSeconds(100);

        private Trio(Ready ready, Configuration configuration)
        {
            _ready = ready;
            _wire = s_wire;
            for (int i = 0; i < 3; i++)
                _members[i] = new RaftMember(s_settings, RaftRecovery.Founding(new MemberId((ulong)i + 1), configuration), this, s_random, _now);
        }

        private static readonly SeededRandom s_random = new(1);
        private static readonly Queue<RaftMessage> s_wire = new(1000);
        private static readonly Configuration s_configuration = new([new MemberId(1), new MemberId(2), new MemberId(3)]);

        public LogIndex Committed => _members[0].CommitIndex;

        public int Reads { get; private set; }

        public static Trio Elected(Ready ready)
        {
            var trio = new Trio(ready, s_configuration);
            trio._members[0].Campaign(trio._now);
            trio.Settle();
            Assert.Equal(RaftRole.Leader, trio._members[0].Role);
            return trio;
        }

        public LogIndex Fit(LogIndex first, LogIndex last, long bytesMax, out long bytes)
        {
            bytes = (long)((last - first) + 1) * 100;
            return last;
        }

        /// <summary>Four entries in two proposals and a read, to the end; now and then a heartbeat and a compaction.</summary>
        public void Turn()
        {
            _now += TimeSpan.FromMilliseconds(1);
            foreach (RaftMember member in _members)
                member.Tick(_now);
            _members[0].Propose(_now, 3);
            _members[0].Propose(_now, 1);
            _members[0].RequestRead(_now);
            Settle();
            if (_now.Milliseconds % 100 == 0)
            {
                foreach (RaftMember member in _members)
                    member.Compact(member.AppliedIndex);
            }
        }

        public void Sleep()
        {
            for (int i = 0; i < 2500 && !_members[0].IsQuiesced; i++)
            {
                _now += TimeSpan.FromMilliseconds(5);
                foreach (RaftMember member in _members)
                    member.Tick(_now);
                Settle();
            }

            Assert.All(_members, m => Assert.True(m.IsQuiesced && m.WakeAt == TimeSpan.MaxValue));
        }

        private void Settle()
        {
            do
            {
                foreach (RaftMember member in _members)
                    Drain(member);
                while (_wire.TryDequeue(out RaftMessage message))
                    _members[(int)message.To.Value - 1].Step(_now, message);
            }
            while (_members[0].HasReady || _members[1].HasReady || _members[2].HasReady);
        }

        private void Drain(RaftMember member)
        {
            if (!member.HasReady)
                return;
            member.TakeReady(_ready);
            foreach (RaftMessage message in _ready.Messages)
                _wire.Enqueue(message);
            Reads += _ready.Reads is null ? 0 : 1;
            if (_ready.CommitAdvanced)
                member.Applied(_now, _ready.CommitIndex);
            if (!_ready.Persist.IsNone)
                member.Synced(_now, _ready.Persist.Write);
        }
    }
}
