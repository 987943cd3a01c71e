using System.Collections.Concurrent;
using System.Net.Sockets;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Shell;
using Kvasir.Primitives;
using Kvasir.Simulation.Histories;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Torture.Clusters;

/// <summary>
/// A client that does one thing at a time against a cluster whose nodes die under it, and writes down what it asked and
/// what it was answered. What it cannot know it writes down as unknown: a connection that broke, a reply that does not
/// come. It goes on with another node then, as any client does.
/// </summary>
internal sealed class HistoryClient : IDisposable
{
    private const int PauseMs = 10;

    private readonly int _clients;
    private readonly HistoryClock _clock;
    private readonly IReadOnlyList<HostPort> _nodes;
    private readonly TortureLane[] _lanes;
    private readonly Dictionary<string, string> _keyspaces;
    private readonly SeededRandom _random;
    private readonly TimeSpan _patience;
    private readonly long _uniqueFirst;
    private HistoryRecorder _recorder;
    private RespConnection? _connection;

    // Of the connection.
    private string _selected = TorturedKeyspaces.First;
    private int _node;
    private long _unique;

    /// <param name="number">From 0, among all that record.</param>
    /// <param name="clients">How many record.</param>
    /// <param name="clock">The one of them all.</param>
    /// <param name="nodes">Where RESP is spoken.</param>
    /// <param name="lanes">Keys, shared with the other clients.</param>
    /// <param name="random">Its own.</param>
    /// <param name="patience">How long it waits for a reply.</param>
    public HistoryClient(
        int number, int clients, HistoryClock clock, IReadOnlyList<HostPort> nodes, TortureLane[] lanes, SeededRandom random, TimeSpan patience)
    {
        _clients = clients;
        _clock = clock;
        _nodes = nodes;
        _lanes = lanes;
        _keyspaces = lanes.ToDictionary(static l => l.Tag, static l => l.Keyspace, StringComparer.Ordinal);
        _random = random;
        _patience = patience;
        _uniqueFirst = number;
        _node = number % nodes.Count;
        _recorder = new HistoryRecorder(number, clients, clock);
    }

    /// <summary>Errors by their first word, and how often; from any thread.</summary>
    public ConcurrentDictionary<string, long> Errors { get; } = new(StringComparer.Ordinal);

    /// <summary>What no correct server says, the first of it; null: nothing.</summary>
    public string? BrokenPromise { get; private set; }

    /// <summary>What has been recorded since the last call, as one client's part of a history.</summary>
    public HistoryRecorder Hand()
    {
        HistoryRecorder finished = _recorder;
        _recorder = new HistoryRecorder(finished.Process, _clients, _clock);
        return finished;
    }

    /// <summary>After an exception that nobody expected: what it was at may have happened.</summary>
    public void Leave()
    {
        if (_recorder.IsInside)
            _recorder.Info();
    }

    /// <summary>One operation on one key; false when no node could be asked.</summary>
    public bool Step(int epoch)
    {
        TortureLane lane = _lanes[_random.Next(_lanes.Length)];
        if (Connect(lane.Keyspace) is not { } connection)
            return false;
        TortureOperation operation = TortureOperation.Choose(lane.Kind, lane.Next(epoch), _random, _uniqueFirst + (_unique++ * _clients));
        Do(connection, lane.Kind, operation);
        return true;
    }

    /// <summary>Reads a key until it is told its value; null when there was none to be had in time.</summary>
    public RespReply? ReadPatiently(KeyKind kind, string key, Func<bool> goesOn)
    {
        while (goesOn())
        {
            if (Connect(_keyspaces[TortureLane.TagOf(key)]) is { } connection && Do(connection, kind, TortureOperation.Read(key)) is { } reply)
                return reply;
            Thread.Sleep(PauseMs);
        }

        return null;
    }

    public void Dispose() => _connection?.Dispose();

    /// <summary>The reply when it was no error, else null.</summary>
    private RespReply? Do(RespConnection connection, KeyKind kind, in TortureOperation operation)
    {
        _recorder.Invoke(operation.Kind, operation.Key, operation.Argument);
        RespReply reply;
        try
        {
            reply = connection.Call(operation.Words);
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            Doubt(operation, e is SocketException { SocketErrorCode: SocketError.TimedOut or SocketError.WouldBlock } ? "(no reply in time)" : "(connection lost)");
            return null;
        }
        catch (RespFormatException e)
        {
            Broken(e.Message);
            Doubt(operation, "(no RESP)");
            return null;
        }

        if (reply.Kind == RespReplyKind.Error)
        {
            Refused(operation, reply.Text);
            return null;
        }

        try
        {
            _recorder.Ok(operation.ResultOf(kind, reply));
            return reply;
        }
        catch (BrokenPromiseException e)
        {
            Broken(e.Message);
            _recorder.Info();
            return null;
        }
    }

    private void Refused(in TortureOperation operation, string text)
    {
        Count(ErrorWords.WordOf(text));
        ErrorMeaning meaning = ErrorWords.MeaningOf(text);
        if (meaning == ErrorMeaning.Unexpected)
            Broken($"{string.Join(' ', operation.Words)} was answered {text}");

        // A read changes nothing, so it has surely not happened.
        if (meaning == ErrorMeaning.Definite || !operation.IsWrite)
            _recorder.Fail();
        else
            _recorder.Info();

        // Another node may know better, now.
        if (_random.OneIn(4))
            Drop();
    }

    /// <summary>After silence or a broken connection: what is still to come belongs to no question any more.</summary>
    private void Doubt(in TortureOperation operation, string why)
    {
        Count(why);
        if (operation.IsWrite)
            _recorder.Info();
        else
            _recorder.Fail();
        Drop();
    }

    private void Drop()
    {
        _connection?.Dispose();
        _connection = null;
        _node = (_node + 1 + _random.Next(Math.Max(1, _nodes.Count - 1))) % _nodes.Count;
    }

    /// <summary>A connection that has a keyspace selected. What comes of selecting is no part of the history: it changes nothing.</summary>
    private RespConnection? Connect(string keyspace)
    {
        if (Connect() is not { } connection || keyspace == _selected)
            return _connection;
        try
        {
            RespReply reply = connection.Call("SELECT", keyspace);
            if (reply.Kind != RespReplyKind.Error)
            {
                _selected = keyspace;
                return connection;
            }

            // A node that has just been started may not know of it yet.
            Count("(not selected)");
        }
        catch (Exception e) when (e is SocketException or IOException or RespFormatException)
        {
            Count("(connection lost)");
        }

        Drop();
        Thread.Sleep(PauseMs);
        return null;
    }

    private RespConnection? Connect()
    {
        if (_connection is not null)
            return _connection;
        try
        {
            RespConnection connection = RespConnection.Open(_nodes[_node]);
            connection.Socket.ReceiveTimeout = (int)_patience.TotalMilliseconds;
            connection.Socket.SendTimeout = (int)_patience.TotalMilliseconds;
            _selected = TorturedKeyspaces.First;
            return _connection = connection;
        }
        catch (Exception e) when (e is UsageException or SocketException)
        {
            Count("(no connection)");
            Drop();
            Thread.Sleep(PauseMs);
            return null;
        }
    }

    private void Count(string word) => Errors.AddOrUpdate(word, 1, static (_, count) => count + 1);

    private void Broken(string what) => BrokenPromise ??= what;
}
