using System.Text;

namespace Kvasir.Server.Sessions;

/// <summary>Counted inside the mailbox or by the one loop; read from anywhere, so a moment's reading only.</summary>
internal sealed class ServerStatistics
{
    private readonly SortedDictionary<string, long> _errors = new(StringComparer.Ordinal);
    private long _connections;
    private long _rejectedConnections;
    private long _bytesIn;
    private long _bytesOut;
    private long _reads;
    private long _writes;
    private long _sampledCommands;
    private long _sampledAtMs;

    public long Commands { get; set; }

    public long DelayedWrites { get; set; }

    public long CommandsPerSecond { get; private set; }

    public long Reads => Volatile.Read(ref _reads);

    public long Writes => Volatile.Read(ref _writes);

    public long ErrorReplies { get; private set; }

    public long KeyHits { get; set; }

    public long KeyMisses { get; set; }

    public long ExpiredKeys { get; set; }

    public long EvictedClients { get; set; }

    public long Connections => Volatile.Read(ref _connections);

    public long RejectedConnections => Volatile.Read(ref _rejectedConnections);

    public long BytesIn => Volatile.Read(ref _bytesIn);

    public long BytesOut => Volatile.Read(ref _bytesOut);

    /// <summary>Replies by their first word, as errorstats lists them. A copy.</summary>
    public KeyValuePair<string, long>[] Errors
    {
        get
        {
            lock (_errors)
                return [.. _errors];
        }
    }

    public void ConnectionOpened() => Interlocked.Increment(ref _connections);

    public void ConnectionRejected() => Interlocked.Increment(ref _rejectedConnections);

    public void Received(int bytes)
    {
        Interlocked.Add(ref _bytesIn, bytes);
        Interlocked.Increment(ref _reads);
    }

    public void Sent(int bytes)
    {
        Interlocked.Add(ref _bytesOut, bytes);
        Interlocked.Increment(ref _writes);
    }

    /// <summary>Called now and then, for the rate.</summary>
    public void Sample(long nowMs)
    {
        long elapsed = nowMs - _sampledAtMs;
        if (elapsed < 1000)
            return;
        CommandsPerSecond = Math.Max(Commands - _sampledCommands, 0) * 1000 / elapsed;
        _sampledCommands = Commands;
        _sampledAtMs = nowMs;
    }

    /// <summary>Takes an error reply's bytes, with the minus.</summary>
    public void CountError(ReadOnlySpan<byte> reply)
    {
        ErrorReplies++;
        int end = reply.IndexOfAny((byte)' ', (byte)'\r');
        if (end <= 1)
            return;
        string code = Encoding.ASCII.GetString(reply[1..end]);
        lock (_errors)
        {
            // A hostile client cannot make up codes, but keep it bounded all the same.
            if (_errors.TryGetValue(code, out long count))
                _errors[code] = count + 1;
            else if (_errors.Count < 128)
                _errors.Add(code, 1);
        }
    }

    public void Reset()
    {
        lock (_errors)
            _errors.Clear();
        Commands = 0;
        DelayedWrites = 0;
        ErrorReplies = 0;
        KeyHits = 0;
        KeyMisses = 0;
        ExpiredKeys = 0;
        EvictedClients = 0;
        Volatile.Write(ref _connections, 0);
        Volatile.Write(ref _rejectedConnections, 0);
        Volatile.Write(ref _bytesIn, 0);
        Volatile.Write(ref _bytesOut, 0);
    }
}
