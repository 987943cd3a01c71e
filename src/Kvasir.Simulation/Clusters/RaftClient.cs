using Kvasir.Primitives;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Clusters;

/// <summary>
/// One client of a simulated group: does one thing after another, asks another member when one does not answer, under the
/// same sequence number, and writes down what it was told.
/// </summary>
internal sealed class RaftClient
{
    private const int OperationsPerKey = 240;
    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(700);
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(4);

    private readonly RaftWorld _world;
    private readonly SeededRandom _random;
    private readonly int _number;
    private readonly TimeSpan _end;
    private readonly HistoryRecorder _recorder;
    private readonly Dictionary<string, HistoryValue> _seen = [];
    private RaftRequest? _request;
    private MemberId _leader;
    private TimeSpan _givesUpAt;
    private long _sequence;
    private int _attempt;
    private bool _inDoubt;

    public RaftClient(RaftWorld world, int number, int clients, HistoryClock clock, TimeSpan end)
    {
        _world = world;
        _random = world.Random.Fork();
        _number = number;
        _end = end;
        _recorder = new HistoryRecorder(number, clients, clock);
        Rest();
    }

    public HistoryRecorder Recorder => _recorder;

    public bool IsIdle => _request is null;

    private void Rest() => _world.Events.After(Milliseconds(1, 60), () =>
    {
        if (_world.Events.Now < _end)
            Begin();
    });

    private void Begin()
    {
        _sequence++;
        string era = (_world.Coverage.Counts.GetValueOrDefault("operations") / OperationsPerKey).ToString(System.Globalization.CultureInfo.InvariantCulture);
        (OperationKind kind, string key, HistoryValue argument) = _random.Next(12) switch
        {
            < 3 => (OperationKind.Write, "register " + era, Unique()),
            3 => (OperationKind.CompareAndSet, "register " + era, HistoryValue.Of(_seen.GetValueOrDefault("register " + era), Unique())),
            < 6 => (OperationKind.Increment, "counter " + era, default),
            6 => (OperationKind.Append, "list " + era, Unique()),
            < 10 => (OperationKind.Read, "register " + era, default),
            10 => (OperationKind.Read, "counter " + era, default),
            _ => (OperationKind.Read, "list " + era, default(HistoryValue)),
        };
        _request = new RaftRequest(new MachineCommand(_number, _sequence, kind, key, argument), (ReadWay)_random.Next(4));
        _givesUpAt = _world.Events.Now + s_deadline;
        _inDoubt = false;
        _world.Coverage.Add("operations");
        _recorder.Invoke(kind, key, argument);
        Try();
    }

    private void Try()
    {
        int attempt = ++_attempt;
        RaftRequest request = _request!;
        SimulatedRaftNode node = _leader.IsNone || request.Way == ReadWay.Stale || _random.OneIn(20)
            ? _world.Nodes[_random.Next(_world.Nodes.Count)]
            : _world.Nodes[(int)_leader.Value - 1];
        _world.Events.After(Milliseconds(0.1, 1), () =>
        {
            if (node.IsDown)
                Hear(attempt, RaftReply.Refused(MemberId.None));
            else
                node.Ask(request, reply => Hear(attempt, reply));
        });
        _world.Events.After(s_patience, () =>
        {
            if (attempt == _attempt && _request is not null)
                Lose();
        });
    }

    /// <summary>The way back takes its time, too, and now and then the answer is lost.</summary>
    private void Hear(int attempt, RaftReply reply)
    {
        if (_random.OneIn(100))
            return;
        _world.Events.After(Milliseconds(0.1, 1), () =>
        {
            if (attempt == _attempt && _request is not null)
                Take(reply);
        });
    }

    private void Take(RaftReply reply)
    {
        if (!reply.IsDone)
        {
            _leader = reply.Leader;
            Again(Milliseconds(10, 80));
            return;
        }

        if (_request!.IsRead)
            _seen[_request.Command.Key] = reply.Value;
        _recorder.Ok(reply.Value, reply.AgeNs);
        _world.Coverage.Add("operations answered");
        End();
    }

    /// <summary>No answer: it may have happened, may yet, or not.</summary>
    private void Lose()
    {
        _inDoubt = true;
        _leader = MemberId.None;
        Again(Milliseconds(0, 20));
    }

    private void Again(TimeSpan after)
    {
        if (_world.Events.Now >= _givesUpAt)
        {
            bool isUncertain = _inDoubt && !_request!.IsRead;
            _world.Coverage.Add(isUncertain ? "operations in doubt" : "operations refused");
            if (isUncertain)
                _recorder.Info();
            else
                _recorder.Fail();
            End();
            return;
        }

        if (_inDoubt)
            _world.Coverage.Add("operations asked again in doubt");

        // Whatever the earlier attempt still brings is not listened to.
        _attempt++;
        _world.Events.After(after, Try);
    }

    private void End()
    {
        _request = null;
        Rest();
    }

    private HistoryValue Unique() => HistoryValue.Of((_number * 1_000_000L) + _sequence);

    private TimeSpan Milliseconds(double min, double max) => TimeSpan.FromTicks((long)((min + (_random.NextDouble() * (max - min))) * TimeSpan.TicksPerMillisecond));
}
