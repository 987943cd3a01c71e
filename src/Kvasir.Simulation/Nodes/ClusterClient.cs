using System.Globalization;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Nodes;

/// <summary>
/// One client of a simulated cluster: does one thing after another, asks the node that is said to lead, another when it was
/// surely refused, and writes down what it was told. What it is not sure of it mostly asks for again, under the number that it had.
/// </summary>
internal sealed class ClusterClient
{
    public const int Databases = 2;
    public const int ShardsPerDatabase = 2;

    private const int OperationsPerEra = 600;
    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(1500);
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(4);

    private readonly ClusterWorld _world;
    private readonly SeededRandom _random;
    private readonly int _number;
    private readonly TimeSpan _end;
    private readonly Dictionary<string, HistoryValue> _seen = [];
    private readonly Queue<string> _toRead = [];
    private readonly LogPosition[] _committed = new LogPosition[Databases * ShardsPerDatabase];
    private ClientRequest? _request;
    private NodeId _leader;
    private TimeSpan _givesUpAt;
    private long _sequence;
    private int _attempt;
    private bool _mayHaveHappened;

    public ClusterClient(ClusterWorld world, int number, int clients, HistoryClock clock, TimeSpan end)
    {
        _world = world;
        _random = world.Random.Fork();
        _number = number;
        _end = end;
        Recorder = new HistoryRecorder(number, clients, clock);
        Rest();
    }

    public HistoryRecorder Recorder { get; }

    public bool IsIdle => _request is null && _toRead.Count == 0;

    /// <summary>Reads these, one by one, until each is answered.</summary>
    public void ReadAll(IEnumerable<string> keys)
    {
        foreach (string key in keys)
            _toRead.Enqueue(key);
        if (_request is null)
            Rest();
    }

    private void Rest() => _world.Events.After(Milliseconds(1, 60), () =>
    {
        if (_request is not null)
            return;
        if (_toRead.TryPeek(out string? key))
            Begin(OperationKind.Read, key, default);
        else if (_world.Events.Now < _end)
            Begin();
    });

    private void Begin()
    {
        // No dice where there are none: what other seeds do is what they did before.
        if (_world.Options.HasBanks && _random.OneIn(3))
        {
            BeginBank();
            return;
        }

        string era = (_world.Coverage.Counts.GetValueOrDefault("operations") / OperationsPerEra).ToString(CultureInfo.InvariantCulture);
        string register = $"register {(char)('a' + _random.Next(4))} {era}";
        string counter = $"counter {era}";
        string list = $"list {(char)('a' + _random.Next(2))} {era}";
        (OperationKind kind, string key, HistoryValue argument) = _random.Next(16) switch
        {
            < 4 => (OperationKind.Write, register, Unique()),
            4 => (OperationKind.CompareAndSet, register, HistoryValue.Of(_seen.GetValueOrDefault(register), Unique())),
            5 => (OperationKind.Delete, register, default),
            < 8 => (OperationKind.Increment, counter, default),
            8 or 9 => (OperationKind.Append, list, Unique()),
            < 13 => (OperationKind.Read, register, default),
            13 => (OperationKind.Read, counter, default),
            _ => (OperationKind.Read, list, default(HistoryValue)),
        };
        Begin(kind, key, argument);
    }

    private void BeginBank()
    {
        string bank = Bank.Name(_random.Next(Bank.Count));
        if (_random.OneIn(3))
        {
            Begin(OperationKind.Read, bank, default);
            return;
        }

        int from = _random.Next(Bank.Accounts);
        int to = (from + 1 + _random.Next(Bank.Accounts - 1)) % Bank.Accounts;
        Begin(OperationKind.Transfer, bank, HistoryValue.Of(HistoryValue.Of(from), HistoryValue.Of(to), HistoryValue.Of(1 + _random.Next(Bank.BalanceFirst))));
    }

    private void Begin(OperationKind kind, string key, HistoryValue argument)
    {
        _sequence++;

        // By the key's name, so that all of its time it is in one place.
        int database = (Bank.Is(key) ? Bank.NumberOf(key) : key[^1]) % Databases;
        _request = new ClientRequest(kind, database, key, argument, _random.OneIn(4) ? _random.Next(4000) : 0)
        {
            Id = new WriteId((ulong)_number + 1, (ulong)_sequence),
            AgeMax = kind == OperationKind.Read && _toRead.Count == 0 && _random.OneIn(3) ? Milliseconds(20, 2000) : null,
        };
        _request = _request with { Known = Committed };
        _mayHaveHappened = false;
        _givesUpAt = _world.Events.Now + s_deadline;
        _world.Coverage.Add("operations");
        Recorder.Invoke(kind, key, argument);
        Try();
    }

    private void Try()
    {
        int attempt = ++_attempt;
        ClientRequest request = _request!;
        NodeMachine machine = request.AgeMax is not null || _leader.IsNone || _random.OneIn(20) || _world.MachineOf(_leader) is not { } leader
            ? _world.Machines[_random.Next(_world.Machines.Count)]
            : leader;
        _world.Events.After(Milliseconds(0.1, 1), () => machine.Ask(request, reply => Hear(attempt, reply)));
        _world.Events.After(s_patience, () =>
        {
            if (attempt == _attempt && _request is not null)
                Take(ClientReply.Lost);
        });
    }

    /// <summary>The way back takes its time, too, and now and then the answer is lost.</summary>
    private void Hear(int attempt, ClientReply reply)
    {
        if (_random.OneIn(200))
            return;
        _world.Events.After(Milliseconds(0.1, 1), () =>
        {
            if (attempt == _attempt && _request is not null)
                Take(reply);
        });
    }

    private ref LogPosition Committed => ref _committed[(_request!.Database * ShardsPerDatabase) + _request.Shard];

    private void Take(ClientReply reply)
    {
        if (reply.Committed > Committed)
            Committed = reply.Committed;
        switch (reply.Outcome)
        {
            case ClientOutcome.Done:
                if (_request!.IsRead && reply.Age is null)
                    _seen[_request.Key] = reply.Value;
                if (_toRead.Count > 0)
                    _toRead.Dequeue();
                Recorder.Ok(reply.Value, reply.Age is { } age ? age.Ticks * 100 : null);
                _world.Coverage.Add("operations answered");
                End();
                break;
            case ClientOutcome.Lost when !_request!.IsRead:
                _leader = NodeId.None;
                _mayHaveHappened = true;
                if (_random.OneIn(4))
                    Doubt();
                else
                    Again();
                break;
            case ClientOutcome.Forgotten when _mayHaveHappened:
                Doubt();
                break;
            case ClientOutcome.Forgotten:
                // It was never run: what was committed meanwhile cannot hold it.
                _request = _request! with { Known = Committed };
                _leader = reply.Leader;
                Again();
                break;
            default:
                // Each key is of another shard: who was right about the last one may be wrong about this.
                _leader = reply.Leader;
                Again();
                break;
        }
    }

    private void Again()
    {
        if (_world.Events.Now >= _givesUpAt && _mayHaveHappened)
        {
            Doubt();
            return;
        }

        if (_world.Events.Now >= _givesUpAt)
        {
            _world.Coverage.Add("operations refused");
            Recorder.Fail();
            End();
            return;
        }

        // Whatever the earlier attempt still brings is not listened to.
        _attempt++;
        _world.Events.After(Milliseconds(5, 60), Try);
    }

    private void Doubt()
    {
        Recorder.Info();
        _world.Coverage.Add("operations in doubt");
        End();
    }

    private void End()
    {
        _request = null;
        Rest();
    }

    private HistoryValue Unique() => HistoryValue.Of((_number * 1_000_000L) + _sequence);

    private TimeSpan Milliseconds(double min, double max) => TimeSpan.FromTicks((long)((min + (_random.NextDouble() * (max - min))) * TimeSpan.TicksPerMillisecond));
}
