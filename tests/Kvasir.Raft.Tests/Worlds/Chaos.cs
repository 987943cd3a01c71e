using Kvasir.Primitives;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Reads;

namespace Kvasir.Raft.Tests.Worlds;

/// <summary>
/// Members in a world without mercy: messages are late, lost, doubled and out of order, links are cut, disks lag, machines stop
/// and come back without what was not synced, clocks run at their own rates and start anew at each boot. One seed, one run.
/// </summary>
internal sealed class Chaos
{
    private readonly SeededRandom _random;
    private readonly RaftSettings _settings;
    private readonly List<TestMember> _members = [];
    private readonly List<Clock> _clocks = [];
    private readonly List<(double At, Envelope Envelope)> _wire = [];
    private readonly List<(TestMember Member, ReadTicket Ticket, LogIndex Committed)> _reads = [];
    private readonly SafetyChecker _checker;
    private readonly int _founders;
    private readonly bool _changesMembers;
    private readonly double _loss;
    private readonly int _meanDelay;
    private readonly HashSet<(int From, int To)> _cut = [];
    private double _now = 1000;
    private int _proposed;
    private Mood _mood;

    public Chaos(ulong seed)
    {
        _random = new SeededRandom(seed);
        _settings = new RaftSettings
        {
            ElectionTimeout = TimeSpan.FromMilliseconds(250),
            ClockDriftMax = 0.1,
            AppendBytesMax = 30,
            InflightMessagesMax = 1 + _random.Next(8),
            InflightBytesMax = 100,
            UncommittedEntriesMax = 200,
            PromotionLagMax = 5,
            QuiesceAfter = _random.OneIn(2) ? TimeSpan.FromMilliseconds(300) : TimeSpan.MaxValue,
        };
        _founders = _random.OneIn(8) ? 1 : 3 + (2 * _random.Next(2));
        _changesMembers = _random.OneIn(2);
        _loss = _random.OneIn(3) ? 0 : _random.NextDouble() * 0.1;
        _meanDelay = 1 + _random.Next(15);
        _checker = new SafetyChecker(() => _members);
        MemberId[] founding = [.. Enumerable.Range(1, _founders).Select(i => new MemberId((ulong)i))];
        for (int i = 0; i < (_changesMembers ? 6 : _founders); i++)
        {
            var disk = new DurableState();
            if (i < _founders)
                disk.Base = disk.Base with { Configuration = new(LogIndex.Zero, Term.Zero, new Configuration(founding)) };
            _clocks.Add(new Clock());
            _clocks[i].Boot(_random, _now, _settings.ClockDriftMax);
            var member = new TestMember(_settings, disk, new MemberId((ulong)i + 1), _random.NextUInt64(), Local(i));
            if (Environment.GetEnvironmentVariable("KVASIR_RAFT_TRACE") is not null)
                member.Trace = line => Console.WriteLine($"{_now} {line}");
            member.OnApply = (index, entry) => _checker.Applied(index, member.Id, entry);
            _members.Add(member);
            _checker.Look(member, _now);
        }
    }

    public SafetyChecker Checker => _checker;

    public int Restarts { get; private set; }

    public int Snapshots { get; private set; }

    public int Quiet { get; private set; }

    public int Transfers { get; private set; }

    public void Run(int steps)
    {
        for (int i = 0; i < steps; i++)
        {
            if (i % 200 == 0)
                _mood = (Mood)_random.Next(4);
            if (_mood == Mood.Idle)
                Idle(i % 200);
            else
                Step();
            if (i % 50 == 0)
                _checker.LogsMatch();
        }

        Heal();
        _checker.LogsMatch();
    }

    /// <summary>All machines up, all links whole: there is a leader soon, and what it is given reaches everybody.</summary>
    private void Heal()
    {
        _cut.Clear();
        for (int i = 0; i < _members.Count; i++)
        {
            if (_members[i].IsDown)
                Restart(i);
            Event(i, m => m.Apply(Local(i)));
        }

        LogIndex target = LogIndex.Max;
        for (int turn = 0; turn < 4000; turn++)
        {
            Pass(5, 1, 0, 0);
            for (int i = 0; i < _members.Count; i++)
            {
                int at = i;
                Event(at, m => m.Sync(Local(at)));
                if (_members[at].Raft.Role == RaftRole.Leader && target == LogIndex.Max)
                {
                    Event(at, m =>
                    {
                        ProposeOutcome outcome = m.Propose(Local(at), "healed");
                        target = outcome.IsAccepted ? outcome.First : LogIndex.Max;
                    });
                }
            }

            TestMember? leader = _members.Find(m => m.Raft.Role == RaftRole.Leader);
            if (leader is not null && leader.Raft.CommitIndex >= target && !leader.Raft.Configuration.IsJoint
                && leader.Raft.Configuration.Members.ToArray().All(id => Member(id).Raft.AppliedIndex >= target))
                return;
            if (target != LogIndex.Max && _checker.Committed >= target && leader is not null && leader.Raft.CommitIndex < target)
                target = LogIndex.Max;
            if (turn % 1000 == 999)
                target = LogIndex.Max;
        }

        Assert.Fail("healed, and yet: " + string.Join("; ", _members.Select(m =>
            $"{m.Id} {m.Raft.Role} t{m.Raft.Term} last {m.Raft.LastIndex} commit {m.Raft.CommitIndex} {m.Raft.Configuration} quiet {m.Raft.IsQuiesced}")));
    }

    /// <summary>Nothing is asked for, and for most of the time nothing fails: groups go quiet, and wake.</summary>
    private void Idle(int step)
    {
        if (step == 0)
        {
            _cut.Clear();
            for (int i = 0; i < _members.Count; i++)
            {
                if (_members[i].IsDown)
                    Restart(i);
            }
        }

        if (step > 150)
        {
            Step();
            return;
        }

        Pass(1 + _random.Next(20), 3, 0, 0);
        for (int i = 0; i < _members.Count; i++)
            Event(i, m => m.Sync(Local(i)));
    }

    private void Step()
    {
        int i = _random.Next(_members.Count);
        TestMember member = _members[i];
        switch (_random.Next(_mood == Mood.Storm ? 100 : 88))
        {
            case < 2 when _changesMembers:
                ChangeMembers(i);
                break;
            case < 45:
                Pass(1 + _random.Next(10), _meanDelay, _mood == Mood.Calm ? 0 : _loss, _loss / 4);
                break;
            case < 65:
                Event(i, m => m.Sync(Local(i), 1 + _random.Next(3)));
                break;
            case < 78:
                Event(i, m => m.Propose(Local(i), [.. Enumerable.Range(0, 1 + _random.Next(4)).Select(_ => $"v{++_proposed}")]));
                break;
            case < 84:
                AskForRead(i);
                break;
            case < 88:
                LookAtReads(i);
                break;
            case < 90:
                Cut();
                break;
            case < 92 when !member.IsDown:
                Restarts++;
                member.Crash(_random.Next(3));
                break;
            case < 94 when member.IsDown:
                Restart(i);
                break;
            case < 95:
                Event(i, m => m.Compact());
                break;
            case < 96:
                Transfers++;
                Event(i, m => m.Raft.TryTransferLeadership(Local(i), new MemberId((ulong)_random.Next(_members.Count) + 1)));
                break;
            case < 98:
                Event(i, m => m.Raft.PeerUnreachable(Local(i), new MemberId((ulong)_random.Next(_members.Count) + 1)));
                break;
            case < 99:
                Suspect(i);
                break;
            default:
                Event(i, m => m.Raft.DiskSynced(Local(i), Local(i)));
                break;
        }
    }

    private void AskForRead(int i) =>
        Event(i, m =>
        {
            ReadTicket ticket = m.Raft.RequestRead(Local(i));
            if (ticket.IsAccepted)
                _reads.Add((m, ticket, _checker.Committed));
        });

    private void LookAtReads(int i) =>
        Event(i, m =>
        {
            if (m.Raft.TryLeaseRead(Local(i), out LogIndex index))
                _checker.LeaseRead(m.Id, index);
            else if (m.Raft.Role != RaftRole.Leader && m.Raft.TryAge(Local(i), out TimeSpan age))
                _checker.AgedRead(m.Id, m.Raft.AppliedIndex, _now - (age.TotalMilliseconds / _clocks[i].Rate) - 0.01);
        });

    private void Cut()
    {
        if (_random.OneIn(2))
        {
            _cut.Clear();
            return;
        }

        int side = _random.Next(1 << _members.Count);
        bool oneWay = _random.OneIn(3);
        for (int a = 0; a < _members.Count; a++)
        {
            for (int b = 0; b < _members.Count; b++)
            {
                if (((side >> a) & 1) < ((side >> b) & 1) || (!oneWay && ((side >> a) & 1) != ((side >> b) & 1)))
                    _cut.Add((a, b));
            }
        }
    }

    private void ChangeMembers(int i) =>
        Event(i, m =>
        {
            if (m.Raft.Role != RaftRole.Leader)
                return;
            var voters = new List<MemberId>();
            var learners = new List<MemberId>();
            foreach (TestMember other in _members)
            {
                bool votes = m.Raft.Configuration.IsVoter(other.Id);
                if (votes ? !_random.OneIn(5) : m.Raft.Configuration.IsLearner(other.Id) && _random.OneIn(2))
                    voters.Add(other.Id);
                else if (_random.OneIn(2))
                    learners.Add(other.Id);
            }

            if (voters.Count == 0)
                return;
            m.Raft.ProposeConfiguration(Local(i), [.. voters], [.. learners]);
        });

    private void Suspect(int i)
    {
        var peer = new MemberId((ulong)_random.Next(_members.Count) + 1);
        bool alive = _random.OneIn(2);
        Event(i, m =>
        {
            if (alive)
                m.Raft.PeerAlive(Local(i), peer);
            else
                m.Raft.PeerSuspected(Local(i), peer);
        });
    }

    private void Restart(int i)
    {
        _clocks[i].Boot(_random, _now, _settings.ClockDriftMax);
        _reads.RemoveAll(r => r.Member == _members[i]);
        _members[i].Restart(Local(i));
        Event(i, _ => { });
    }

    private void Pass(int milliseconds, int meanDelay, double loss, double doubling)
    {
        _now += milliseconds;
        for (int i = 0; i < _members.Count; i++)
        {
            int at = i;
            Event(at, m => m.Raft.Tick(Local(at)));
        }

        var due = _wire.FindAll(w => w.At <= _now);
        _wire.RemoveAll(w => w.At <= _now);
        foreach ((double _, Envelope envelope) in due)
        {
            int to = (int)envelope.Message.To.Value - 1;
            if (_cut.Contains(((int)envelope.Message.From.Value - 1, to)) || _random.NextDouble() < loss)
            {
                Dropped(envelope);
                continue;
            }

            Member(envelope.Message.To).Trace?.Invoke(MessageText.Of(envelope));
            if (_random.NextDouble() < doubling)
                Post(envelope, 10 * meanDelay);
            Event(to, m => m.Receive(Local(to), envelope), meanDelay);
            if (envelope.Message.Kind == MessageKind.SnapshotOffer)
                SnapshotEnds(envelope, Member(envelope.Message.To).IsDown ? LogIndex.Zero : envelope.Message.Index);
        }
    }

    private void Dropped(Envelope envelope)
    {
        if (envelope.Message.Kind == MessageKind.SnapshotOffer)
            SnapshotEnds(envelope, LogIndex.Zero);
    }

    private void SnapshotEnds(Envelope envelope, LogIndex installed)
    {
        Snapshots++;
        int from = (int)envelope.Message.From.Value - 1;
        Event(from, m => m.Raft.SnapshotFinished(Local(from), envelope.Message.To, installed));
    }

    private void Event(int i, Action<TestMember> act, int meanDelay = 0)
    {
        TestMember member = _members[i];
        if (member.IsDown)
            return;
        act(member);
        _checker.Look(member, _now);
        member.Drain(Local(i), e => Post(e, meanDelay == 0 ? _meanDelay : meanDelay));
        _checker.Look(member, _now);
        Quiet += member.Raft.IsQuiesced ? 1 : 0;
        foreach (ReadReady ready in member.Reads)
        {
            foreach ((TestMember _, ReadTicket ticket, LogIndex committed) in _reads)
            {
                if (ticket.Term == ready.Term && ticket.Batch <= ready.Batch)
                    _checker.RoundRead(member.Id, ready, committed);
            }

            _reads.RemoveAll(r => r.Ticket.Term == ready.Term && r.Ticket.Batch <= ready.Batch);
        }

        member.Reads.Clear();
    }

    private void Post(Envelope envelope, int meanDelay) =>
        _wire.Add((_now + (_random.NextDouble() * 2 * meanDelay), envelope));

    private TestMember Member(MemberId id) => _members[(int)id.Value - 1];

    private TimeSpan Local(int i) => _clocks[i].At(_now);

    private enum Mood
    {
        Storm,
        Calm,
        Rough,
        Idle,
    }

    private sealed class Clock
    {
        private double _bootedAt;
        private double _origin;

        public double Rate { get; private set; } = 1;

        public void Boot(SeededRandom random, double now, double drift)
        {
            _bootedAt = now;
            _origin = random.NextDouble() * 5000;
            Rate = 1 + ((random.NextDouble() * 2 * drift) - drift);
        }

        public TimeSpan At(double now) => TimeSpan.FromMilliseconds(_origin + ((now - _bootedAt) * Rate));
    }
}
