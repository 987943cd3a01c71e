using System.Diagnostics;
using System.Net.Sockets;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Shell;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Bench.Clusters;

/// <summary>
/// A client that knows nothing of clusters: it writes one key through one node, over and over, on a thread of its own, and notes when
/// each write began and was answered.
/// </summary>
internal sealed class SteadyWriter : IDisposable
{
    private const int PauseMs = 1;

    private readonly HostPort _address;
    private readonly string _key;
    private readonly Thread _thread;
    private readonly Lock _gate = new();
    private readonly List<(long Began, long Ended)> _written = [];
    private volatile bool _stopped;
    private string? _lastError;
    private int _refused;

    public SteadyWriter(HostPort address, string key)
    {
        _address = address;
        _key = key;
        _thread = new Thread(Run) { IsBackground = true, Name = "writer" };
        _thread.Start();
    }

    /// <summary>Writes that were answered with an error, or lost their connection.</summary>
    public int Refused => Volatile.Read(ref _refused);

    public string? LastError => Volatile.Read(ref _lastError);

    /// <summary>From then until a write was answered that began afterwards; null when none was.</summary>
    public TimeSpan? FirstAfter(long timestamp)
    {
        lock (_gate)
        {
            foreach ((long began, long ended) in _written)
            {
                if (began >= timestamp)
                    return Stopwatch.GetElapsedTime(timestamp, ended);
            }
        }

        return null;
    }

    /// <summary>The longest time without an answered write from then on.</summary>
    public TimeSpan LongestGap(long timestamp)
    {
        TimeSpan longest = TimeSpan.Zero;
        lock (_gate)
        {
            long last = timestamp;
            foreach ((_, long ended) in _written)
            {
                if (ended < timestamp)
                    continue;
                TimeSpan gap = Stopwatch.GetElapsedTime(last, ended);
                longest = gap > longest ? gap : longest;
                last = ended;
            }
        }

        return longest;
    }

    /// <summary>Milliseconds of each answered write that began then or later.</summary>
    public IReadOnlyList<double> Latencies(long since)
    {
        lock (_gate)
            return [.. _written.Where(w => w.Began >= since).Select(static w => Stopwatch.GetElapsedTime(w.Began, w.Ended).TotalMilliseconds)];
    }

    public void Dispose()
    {
        _stopped = true;
        _thread.Join();
    }

    private void Run()
    {
        RespConnection? connection = null;
        while (!_stopped)
        {
            try
            {
                connection ??= Open();
                long began = Stopwatch.GetTimestamp();
                RespReply reply = connection.Call("SET", _key, "value");
                if (reply.Kind == RespReplyKind.SimpleString)
                {
                    lock (_gate)
                        _written.Add((began, Stopwatch.GetTimestamp()));
                }
                else
                {
                    Fail(reply.Text);
                }
            }
            catch (Exception e) when (e is SocketException or IOException or UsageException)
            {
                Fail(e.Message);
                connection?.Dispose();
                connection = null;
            }

            Thread.Sleep(PauseMs);
        }

        connection?.Dispose();
    }

    private void Fail(string why)
    {
        Volatile.Write(ref _lastError, why);
        Interlocked.Increment(ref _refused);
    }

    private RespConnection Open()
    {
        RespConnection connection = RespConnection.Open(_address);
        connection.Socket.ReceiveTimeout = 10_000;
        return connection;
    }
}
