using Kvasir.Cli.CommandLine;
using Kvasir.Primitives;
using Kvasir.Simulation.Histories;

namespace Kvasir.Cli.Torture.Clusters;

/// <summary>
/// Clients at work, each on a thread of its own, and what they record. The history is cut into parts: when a part ends every
/// client goes on to keys of the next, so that a run of any length is judged as it goes and forgotten.
/// </summary>
internal sealed class ClientLoad : IDisposable
{
    private readonly HistoryClient[] _clients;
    private readonly Thread[] _threads;
    private readonly Lock _gate = new();
    private readonly SortedDictionary<int, List<HistoryRecorder>> _parts = [];
    private readonly Action<int, IReadOnlyList<HistoryRecorder>> _partEnded;
    private volatile int _part;
    private volatile bool _stopped;
    private long _steps;
    private Exception? _defect;

    /// <param name="count">Clients; one more, that reads what they leave, is counted among those that record.</param>
    /// <param name="clock">Of all recorders.</param>
    /// <param name="nodes">Where RESP is spoken.</param>
    /// <param name="lanes">The keys.</param>
    /// <param name="random">Where each gets a generator of its own from.</param>
    /// <param name="patience">How long a client waits for a reply.</param>
    /// <param name="partEnded">Called when all clients have left a part, with what each recorded in it.</param>
    public ClientLoad(
        int count, HistoryClock clock, IReadOnlyList<HostPort> nodes, TortureLane[] lanes, SeededRandom random, TimeSpan patience,
        Action<int, IReadOnlyList<HistoryRecorder>> partEnded)
    {
        _partEnded = partEnded;
        _clients = [.. Enumerable.Range(0, count).Select(i => new HistoryClient(i, count + 1, clock, nodes, lanes, random.Fork(), patience))];
        _threads = [.. _clients.Select(c => new Thread(() => Run(c)) { IsBackground = true, Name = "client" })];
    }

    public IReadOnlyList<HistoryClient> Clients => _clients;

    /// <summary>Why a client ended before it was told to, the first that did: then the others end, too. Null: none has.</summary>
    public Exception? Defect => Volatile.Read(ref _defect);

    /// <summary>Operations begun so far.</summary>
    public long Steps => Interlocked.Read(ref _steps);

    public void Start()
    {
        foreach (Thread thread in _threads)
            thread.Start();
    }

    /// <summary>Clients go on to the next part, each when its present operation has ended.</summary>
    public void BeginNextPart() => _part++;

    /// <summary>Once they were started: they finish what they are at; back when all have, and the last part is handed over.</summary>
    public void Stop()
    {
        _stopped = true;
        foreach (Thread thread in _threads)
            thread.Join();

        // One that failed did not come as far as others did.
        foreach ((int part, List<HistoryRecorder> recorders) in _parts)
            _partEnded(part, recorders);
        _parts.Clear();
    }

    public void Dispose()
    {
        _stopped = true;
        foreach (HistoryClient client in _clients)
            client.Dispose();
    }

    private void Run(HistoryClient client)
    {
        int part = 0;
        OrEnd(() =>
        {
            while (!_stopped)
            {
                for (int now = _part; part < now;)
                    HandOver(part++, client);
                if (client.Step(part))
                    Interlocked.Increment(ref _steps);
            }
        });

        // Of one that failed, too: what it saw until then is as true as what the others saw, and cannot be judged without it.
        OrEnd(() =>
        {
            client.Leave();
            for (int last = _part; part <= last;)
                HandOver(part++, client);
        });
    }

    private void OrEnd(Action action)
    {
        try
        {
            action();
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref _defect, new InvalidOperationException("a client failed: " + e.Message, e), comparand: null);
            _stopped = true;
        }
    }

    private void HandOver(int part, HistoryClient client)
    {
        List<HistoryRecorder>? whole = null;
        lock (_gate)
        {
            if (!_parts.TryGetValue(part, out List<HistoryRecorder>? recorders))
                _parts[part] = recorders = [];
            recorders.Add(client.Hand());
            if (recorders.Count == _clients.Length)
            {
                _parts.Remove(part);
                whole = recorders;
            }
        }

        if (whole is not null)
            _partEnded(part, whole);
    }
}
