using System.Net;
using System.Text;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Server.Peers;
using Microsoft.Extensions.Logging;

namespace Kvasir.Server.Tests.Peers;

/// <summary>A real transport on loopback with somebody who listens, and its log.</summary>
internal sealed class PeerNode : IDisposable
{
    public const ulong Cluster = 0xC0FFEE;

    private static long s_seed = Environment.ProcessId;

    public PeerNode(ulong id, TcpTransportOptions? options = null, ulong cluster = Cluster, TimeProvider? time = null, ITransportListener? listener = null)
    {
        Transport = new TcpTransport(
            options ?? Options(), time ?? TimeProvider.System, new SeededRandom((ulong)Interlocked.Increment(ref s_seed)), Log);
        if (id != 0)
            Transport.Identify(cluster, new NodeId(id));
        Transport.Start(listener ?? Heard);
    }

    public TcpTransport Transport { get; }

    public PeerRecorder Heard { get; } = new();

    public RecordedLog Log { get; } = new();

    public PeerAddress Address => new(Transport.Self, "127.0.0.1", Transport.EndPoint.Port);

    public static TcpTransportOptions Options(int port = 0) => new()
    {
        Listen = new IPEndPoint(IPAddress.Loopback, port),

        // Machines that run tests stand still at times.
        SilenceMax = TimeSpan.FromSeconds(20),
        GreetingMax = TimeSpan.FromSeconds(20),
        BackoffMax = TimeSpan.FromMilliseconds(100),
    };

    /// <summary>All of them know each other, and are connected.</summary>
    public static void Introduce(params PeerNode[] nodes)
    {
        PeerAddress[] all = [.. nodes.Select(n => n.Address)];
        foreach (PeerNode node in nodes)
            node.Transport.SetPeers(all);
        foreach (PeerNode node in nodes)
        {
            foreach (PeerNode other in nodes.Where(o => o != node))
                node.WaitConnected(other.Transport.Self);
        }
    }

    public SendOutcome Send(ulong to, string text) => Transport.Send(new NodeId(to), Encoding.UTF8.GetBytes(text));

    public SendOutcome Send(ulong to, byte[] bytes) => Transport.Send(new NodeId(to), bytes);

    /// <summary>As <see cref="Send(ulong, byte[])"/>, but patient: again when there is room again.</summary>
    public void SendAll(ulong to, byte[] bytes)
    {
        SpinWait spin = default;
        while (Transport.Send(new NodeId(to), bytes) is { } outcome && outcome != SendOutcome.Queued)
        {
            Assert.Equal(SendOutcome.Full, outcome);
            spin.SpinOnce();
        }
    }

    public void WaitConnected(NodeId other)
    {
        SpinWait spin = default;
        long until = Environment.TickCount64 + 300_000;
        while (!Heard.Told.Split(' ').Contains($"+{other}"))
        {
            Assert.True(Environment.TickCount64 < until, $"{Transport.Self} is not connected with {other}: {Heard.Told}; {Log}");
            spin.SpinOnce();
        }
    }

    public void Dispose() => Transport.Dispose();
}

/// <summary>What was logged; tests wait for it.</summary>
internal sealed class RecordedLog : ILogger
{
    private readonly object _gate = new();
    private readonly List<string> _lines = [];

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        lock (_gate)
        {
            _lines.Add(logLevel + ": " + formatter(state, exception));
            Monitor.PulseAll(_gate);
        }
    }

    public void Wait(string part)
    {
        long until = Environment.TickCount64 + 300_000;
        lock (_gate)
        {
            while (!_lines.Exists(l => l.Contains(part, StringComparison.Ordinal)))
            {
                long left = until - Environment.TickCount64;
                if (left <= 0 || !Monitor.Wait(_gate, (int)left))
                    Assert.Fail($"waited for '{part}' in the log: {this}");
            }
        }
    }

    public override string ToString()
    {
        lock (_gate)
            return string.Join('\n', _lines);
    }
}
