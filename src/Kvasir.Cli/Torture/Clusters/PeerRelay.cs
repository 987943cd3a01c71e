using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Kvasir.Cli.LocalClusters;

namespace Kvasir.Cli.Torture.Clusters;

/// <summary>
/// Stands between the nodes: each is told an address here for every other one, and what it sends there is passed on, or not.
/// A cut link is silent, as a network's is: connections stay and nothing arrives, in one direction or in both, until it is
/// healed and what waited goes on; or what was sent meanwhile is lost, and the connection with it, when it is healed; or it is
/// reset, and nobody gets through.
/// </summary>
/// <remarks>
/// Who is calling is read from the system's table of sockets: the calling port, whose socket it is, which node's process
/// has it open. So it needs to know nothing of what the nodes say to each other.
/// </remarks>
internal sealed class PeerRelay : IDisposable
{
    private const int BufferBytes = 64 << 10;

    private readonly TcpListener[] _listeners;
    private readonly int[] _targets;
    private readonly Func<int, int> _processOf;
    private readonly Lock _gate = new();
    private readonly HashSet<Socket> _sockets = [];
    private readonly CutLink?[,] _cut;
    private readonly List<(int From, int To, Socket Incoming, Socket Outgoing)> _connections = [];
    private long _relayed;
    private long _lost;
    private bool _isDisposed;

    /// <param name="nodes">How many.</param>
    /// <param name="processOf">The process id of a node, counted from zero; 0 when it does not run.</param>
    public PeerRelay(int nodes, Func<int, int> processOf)
    {
        _processOf = processOf;
        _targets = new int[nodes];
        _cut = new CutLink?[nodes, nodes];
        _listeners = [.. Enumerable.Range(0, nodes).Select(_ => new TcpListener(IPAddress.Loopback, 0))];
        foreach (TcpListener listener in _listeners)
            listener.Start();
        Ports = [.. _listeners.Select(l => ((IPEndPoint)l.LocalEndpoint).Port)];
    }

    /// <summary>Where each node is reached through the relay.</summary>
    public IReadOnlyList<int> Ports { get; }

    /// <summary>Bytes passed on so far.</summary>
    public long Relayed => Interlocked.Read(ref _relayed);

    /// <summary>Bytes that a lossy link has swallowed so far.</summary>
    public long Lost => Interlocked.Read(ref _lost);

    /// <param name="ports">Where the nodes really listen.</param>
    public void Start(IReadOnlyList<int> ports)
    {
        for (int i = 0; i < _listeners.Length; i++)
        {
            _targets[i] = ports[i];
            _ = Accept(i);
        }
    }

    /// <summary>Nothing gets from one node to the other any more; the way back is another link.</summary>
    public void Cut(int from, int to, LinkCut how = LinkCut.Silent)
    {
        (int From, int To, Socket Incoming, Socket Outgoing)[] reset = [];
        lock (_gate)
        {
            _cut[from, to] ??= new CutLink(how);
            if (how == LinkCut.Reset)
                reset = [.. _connections.Where(c => (c.From, c.To) == (from, to) || (c.To, c.From) == (from, to))];
        }

        foreach ((int _, int _, Socket incoming, Socket outgoing) in reset)
        {
            Reset(incoming);
            Reset(outgoing);
        }
    }

    public void HealAll()
    {
        lock (_gate)
        {
            foreach (CutLink? link in _cut)
                link?.Healed.TrySetResult();
            Array.Clear(_cut);
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _isDisposed = true;
            foreach (Socket socket in _sockets)
                socket.Dispose();
        }

        foreach (TcpListener listener in _listeners)
            listener.Dispose();
        HealAll();
    }

    private async Task Accept(int to)
    {
        while (true)
        {
            Socket incoming;
            try
            {
                incoming = await _listeners[to].AcceptSocketAsync();
            }
            catch (Exception e) when (e is SocketException or ObjectDisposedException or InvalidOperationException)
            {
                return;
            }

            _ = Task.Run(() => Pass(incoming, to));
        }
    }

    private async Task Pass(Socket incoming, int to)
    {
        Socket outgoing = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            if (!Remember(incoming, outgoing) || CallerOf(incoming) is not (>= 0 and int from))
                return;
            incoming.NoDelay = true;

            // Even the first packet of a connection has to get through.
            while (!TryPass(from, to, incoming, outgoing, out CutLink? link))
            {
                if (link.How == LinkCut.Reset)
                {
                    Reset(incoming);
                    return;
                }

                await link.Healed.Task;
            }

            await outgoing.ConnectAsync(IPAddress.Loopback, _targets[to]);
            await Task.WhenAny(Pump(incoming, outgoing, from, to), Pump(outgoing, incoming, to, from));
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // One of the two is gone; the other learns of it now.
        }
        finally
        {
            lock (_gate)
            {
                _sockets.Remove(incoming);
                _sockets.Remove(outgoing);
                _connections.RemoveAll(c => c.Incoming == incoming);
            }

            incoming.Dispose();
            outgoing.Dispose();
        }
    }

    private async Task Pump(Socket source, Socket destination, int from, int to)
    {
        byte[] buffer = new byte[BufferBytes];
        try
        {
            while (true)
            {
                int read = await source.ReceiveAsync(buffer.AsMemory());
                if (read == 0)
                    return;
                if (OnWay(from, to) is { } link)
                {
                    if (link.How == LinkCut.Lossy)
                    {
                        // What is lost of a stream is lost with all of it.
                        Interlocked.Add(ref _lost, read);
                        await Swallow(source, buffer, link);
                        return;
                    }

                    await link.Healed.Task;
                }

                for (int sent = 0; sent < read;)
                    sent += await destination.SendAsync(buffer.AsMemory(sent, read - sent));
                Interlocked.Add(ref _relayed, read);
            }
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The connection ends for both.
        }
    }

    /// <summary>Takes what is sent, as a network does that loses it, until the link is healed.</summary>
    private async Task Swallow(Socket source, byte[] buffer, CutLink link)
    {
        while (!link.Healed.Task.IsCompleted)
        {
            Task<int> reading = source.ReceiveAsync(buffer.AsMemory()).AsTask();
            await Task.WhenAny(reading, link.Healed.Task);
            if (!reading.IsCompleted || await reading is not (> 0 and int read))
                return;
            Interlocked.Add(ref _lost, read);
        }
    }

    /// <summary>What stands in the way of bytes; null: nothing.</summary>
    private CutLink? OnWay(int from, int to)
    {
        lock (_gate)
            return _cut[from, to];
    }

    /// <summary>A new connection, unless something stands in its way, in either direction. From then on a reset finds it.</summary>
    private bool TryPass(int from, int to, Socket incoming, Socket outgoing, [NotNullWhen(false)] out CutLink? link)
    {
        lock (_gate)
        {
            link = _cut[from, to] ?? _cut[to, from];
            if (link is null)
                _connections.Add((from, to, incoming, outgoing));
            return link is null;
        }
    }

    private static void Reset(Socket socket)
    {
        try
        {
            socket.LingerState = new LingerOption(enable: true, seconds: 0);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It has ended already.
        }

        socket.Dispose();
    }

    private bool Remember(Socket one, Socket other)
    {
        lock (_gate)
            return !_isDisposed && _sockets.Add(one) && _sockets.Add(other);
    }

    /// <summary>Which node has the other end of a connection; -1 when none of them has.</summary>
    private int CallerOf(Socket connection)
    {
        int port = ((IPEndPoint)connection.RemoteEndPoint!).Port;
        if (SocketTable.InodeOf(port) is not { } inode)
            return -1;
        for (int node = 0; node < _targets.Length; node++)
        {
            if (_processOf(node) is > 0 and int process && SocketTable.Has(process, inode))
                return node;
        }

        return -1;
    }
}

/// <summary>How a link between two nodes is cut.</summary>
internal enum LinkCut
{
    /// <summary>What is sent waits, and arrives when the link is healed.</summary>
    Silent,

    /// <summary>What is sent is lost; so the connection ends when the link is healed.</summary>
    Lossy,

    /// <summary>Connections are reset, and new ones, too, at once.</summary>
    Reset,
}

internal sealed record CutLink(LinkCut How)
{
    public TaskCompletionSource Healed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
}

/// <summary>The system's table of sockets, as proc(5) shows it.</summary>
internal static class SocketTable
{
    /// <summary>The socket on this machine whose own address is this port of the loopback; null: there is none.</summary>
    public static string? InodeOf(int port)
    {
        string address = string.Create(CultureInfo.InvariantCulture, $"0100007F:{port:X4}");
        foreach (string table in new[] { "/proc/net/tcp", "/proc/net/tcp6" })
        {
            if (!File.Exists(table))
                continue;
            foreach (string line in File.ReadLines(table).Skip(1))
            {
                string[] columns = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);

                // The local address, and then the remote one: an accepted socket has the same port as the listener.
                if (columns.Length > 9 && columns[1].EndsWith(address, StringComparison.Ordinal) && columns[9] != "0")
                    return columns[9];
            }
        }

        return null;
    }

    public static bool Has(int process, string inode)
    {
        string wanted = $"socket:[{inode}]";
        try
        {
            foreach (string descriptor in Directory.EnumerateFiles(string.Create(CultureInfo.InvariantCulture, $"/proc/{process}/fd")))
            {
                if (string.Equals(new FileInfo(descriptor).LinkTarget, wanted, StringComparison.Ordinal))
                    return true;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It has just ended, or closed the descriptor.
        }

        return false;
    }
}
