using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Reads;

namespace Kvasir.Raft.Tests.Worlds;

/// <summary>
/// Sees everything at once, and so can say what no member can: whether the promises of figure 3 of the paper hold, whether
/// what is committed is durable on a majority, and whether a read saw everything that was committed before it was asked for.
/// </summary>
internal sealed class SafetyChecker(Func<IEnumerable<TestMember>> members)
{
    private readonly Dictionary<Term, MemberId> _leaders = [];
    private readonly Dictionary<MemberId, Configuration> _inForce = [];
    private readonly List<LogEntry> _committed = [];
    private readonly List<(double At, LogIndex Index)> _commits = [];

    /// <summary>The highest index that any member ever took for committed.</summary>
    public LogIndex Committed => new((ulong)_committed.Count);

    public int Leaders => _leaders.Count;

    public int LeaseReads { get; private set; }

    public int RoundReads { get; private set; }

    public int AgedReads { get; private set; }

    public int Configurations { get; private set; }

    /// <summary>To be called after every event of this member.</summary>
    public void Look(TestMember member, double now)
    {
        RaftMember raft = member.Raft;
        if (raft.Role == RaftRole.Leader)
            LeaderLooksRight(member);
        if (raft.CommitIndex > Committed)
            Commit(member, now);
        _inForce[member.Id] = raft.Configuration;
    }

    public void Applied(LogIndex index, MemberId id, LogEntry entry)
    {
        Assert.True(index <= Committed, $"{id} applies {index}, and only {Committed} is committed");
        Assert.True(_committed[(int)index.Value - 1] == entry, $"{id} applies {entry} at {index}, others {_committed[(int)index.Value - 1]}");
    }

    public void LeaseRead(MemberId id, LogIndex index)
    {
        LeaseReads++;
        Assert.True(index >= Committed, $"{id} reads at {index} on its lease, and {Committed} is committed");
    }

    public void RoundRead(MemberId id, ReadReady ready, LogIndex committedWhenAsked)
    {
        RoundReads++;
        Assert.True(ready.Index >= committedWhenAsked, $"{id} reads at {ready.Index}, and {committedWhenAsked} was committed before it was asked");
    }

    /// <summary>A follower says that its state holds all that was committed by this time.</summary>
    public void AgedRead(MemberId id, LogIndex applied, double freshAt)
    {
        AgedReads++;
        foreach ((double at, LogIndex index) in _commits)
        {
            if (at < freshAt)
                Assert.True(index <= applied, $"{id} has applied {applied} and claims to know all up to {freshAt}: {index} was committed at {at}");
        }
    }

    /// <summary>Log matching: where two logs have an entry of one index and term, they are equal up to it.</summary>
    public void LogsMatch()
    {
        TestMember[] all = [.. members()];
        foreach (TestMember a in all)
        {
            foreach (TestMember b in all)
            {
                ulong first = Math.Max(a.Base.Value, b.Base.Value) + 1;
                ulong last = Math.Min(a.Base.Value + (ulong)a.Entries.Count, b.Base.Value + (ulong)b.Entries.Count);
                bool meets = false;
                for (ulong i = last; i >= first && a.Id < b.Id; i--)
                {
                    LogEntry x = a.Entry(new LogIndex(i)), y = b.Entry(new LogIndex(i));
                    meets |= x.Term == y.Term;
                    Assert.True(!meets || x == y, $"logs of {a.Id} and {b.Id} meet above {i} and differ there: {x}, {y}");
                }
            }
        }
    }

    private void LeaderLooksRight(TestMember member)
    {
        RaftMember raft = member.Raft;
        if (_leaders.TryGetValue(raft.Term, out MemberId known))
        {
            Assert.True(known == member.Id, $"{known} and {member.Id} both led term {raft.Term}");
            return;
        }

        _leaders.Add(raft.Term, member.Id);
        for (int i = (int)member.Base.Value; i < _committed.Count; i++)
        {
            var index = new LogIndex((ulong)i + 1);
            Assert.True(raft.TryTermAt(index, out Term term) && term == _committed[i].Term,
                $"{member.Id} leads term {raft.Term} and does not have {_committed[i]}, committed at {index}");
        }
    }

    private void Commit(TestMember member, double now)
    {
        LogIndex from = Committed.Next;
        for (LogIndex i = from; i <= member.Raft.CommitIndex; i = i.Next)
        {
            LogEntry entry = member.Entry(i);
            _committed.Add(entry);
            if (entry.Configuration is not null)
                Configurations++;
        }

        _commits.Add((now, Committed));
        if (member.Raft.Role == RaftRole.Leader)
            IsOnAMajority(member, Committed);
    }

    private void IsOnAMajority(TestMember leader, LogIndex index)
    {
        Term term = leader.Entry(index).Term;
        var holders = new HashSet<MemberId>();
        foreach (TestMember member in members())
        {
            DurableState disk = member.Disk;
            if (disk.Base.Index >= index || (index <= disk.LastIndex && disk.Entries[(int)(index - disk.Base.Index) - 1].Term == term))
                holders.Add(member.Id);
        }

        // Counted in the configuration that was in force before this event, which may have brought another.
        Configuration configuration = _inForce[leader.Id];
        Holds(configuration.Voters, holders, index);
        if (configuration.IsJoint)
            Holds(configuration.Outgoing, holders, index);
    }

    private static void Holds(ReadOnlySpan<MemberId> voters, HashSet<MemberId> holders, LogIndex index)
    {
        int have = 0;
        foreach (MemberId voter in voters)
            have += holders.Contains(voter) ? 1 : 0;
        Assert.True(have > voters.Length / 2, $"{index} is committed and durable on {have} of {voters.Length} voters, on {string.Join(' ', holders)}");
    }
}
