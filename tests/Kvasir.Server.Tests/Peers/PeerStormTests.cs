using Kvasir.Cluster.Transport;
using Kvasir.Primitives;

namespace Kvasir.Server.Tests.Peers;

/// <summary>Links that come and go all the time, from all sides, while everybody sends.</summary>
public sealed class PeerStormTests
{
    private const int Nodes = 3;
    private const int Changes = 300;

    [Fact]
    public void WithinOneLinkNothingIsLostAndEveryChangeIsToldOnce()
    {
        ulong seed = (ulong)Environment.TickCount64;
        Watcher[] watchers = [.. Enumerable.Range(0, Nodes).Select(_ => new Watcher())];
        PeerNode[] nodes = [.. Enumerable.Range(0, Nodes).Select(i => new PeerNode((ulong)i + 1, PeerNode.Options() with { QueueBytesMax = 20_000 }, listener: watchers[i]))];
        try
        {
            PeerAddress[] all = [.. nodes.Select(n => n.Address)];
            bool stop = false;
            Thread[] senders = [.. nodes.Select((node, i) => new Thread(() => Send(node, all, ref stop)))];
            Thread[] changers = [.. nodes.Select((node, i) => new Thread(() => Change(node, watchers[i], all, new SeededRandom(seed + (ulong)i))))];
            foreach (Thread thread in senders.Concat(changers))
                thread.Start();
            foreach (Thread changer in changers)
                changer.Join();
            foreach (Watcher watcher in watchers)
                watcher.WaitConnectedWith(Nodes - 1);
            Volatile.Write(ref stop, true);
            foreach (Thread sender in senders)
                sender.Join();
            Assert.All(watchers, w => Assert.True(w.Trouble is null, $"seed {seed}: {w.Trouble}"));
            Assert.All(watchers, w => Assert.True(w.Received > 0 && w.Links > 10, $"{w.Received} messages over {w.Links} links"));
        }
        finally
        {
            foreach (PeerNode node in nodes)
                node.Dispose();
        }
    }

    private static void Send(PeerNode node, PeerAddress[] all, ref bool stop)
    {
        // Only what was taken over has a number: the receiver may miss none of them within a link.
        long[] next = new long[Nodes + 1];
        byte[] message = new byte[500];
        while (!Volatile.Read(ref stop))
        {
            foreach (PeerAddress to in all)
            {
                BitConverter.TryWriteBytes(message, next[to.Node.Value]);
                if (node.Transport.Send(to.Node, message, more: next[to.Node.Value] % 3 != 0) == SendOutcome.Queued)
                    next[to.Node.Value]++;
            }

            node.Transport.Flush();
        }
    }

    private static void Change(PeerNode node, Watcher watcher, PeerAddress[] all, SeededRandom random)
    {
        for (int i = 0; i < Changes; i++)
        {
            node.Transport.SetPeers([.. all.Where(_ => !random.OneIn(3))]);
            if (!random.OneIn(4))
                watcher.WaitForTheNextChange();
        }

        node.Transport.SetPeers(all);
    }

    private sealed class Watcher : ITransportListener
    {
        private readonly object _gate = new();
        private readonly SortedSet<NodeId> _connected = [];
        private readonly SortedDictionary<NodeId, long> _last = [];

        public string? Trouble { get; private set; }

        public long Received { get; private set; }

        void ITransportListener.Received(NodeId from, ReadOnlySpan<byte> message)
        {
            long number = BitConverter.ToInt64(message);
            lock (_gate)
            {
                Received++;
                if (!_connected.Contains(from))
                    Trouble = $"{from} is heard and not connected";
                if (_last.TryGetValue(from, out long last) && number != last + 1)
                    Trouble = $"{number} of {from} comes after {last}";
                _last[from] = number;
            }
        }

        void ITransportListener.Connected(NodeId peer) => Tell(() => ++Links > 0 && _connected.Add(peer), $"{peer} is connected twice");

        void ITransportListener.Disconnected(NodeId peer) => Tell(() => _connected.Remove(peer) && (_last.Remove(peer) || true), $"{peer} is disconnected twice");

        void ITransportListener.Writable(NodeId peer)
        {
        }

        public int Links { get; private set; }

        /// <summary>Or for a moment, when there is none.</summary>
        public void WaitForTheNextChange()
        {
            lock (_gate)
                Monitor.Wait(_gate, 5);
        }

        public void WaitConnectedWith(int count)
        {
            lock (_gate)
            {
                while (_connected.Count < count)
                    Assert.True(Monitor.Wait(_gate, TimeSpan.FromMinutes(5)), $"connected with {_connected.Count} of {count}; {Trouble}");
            }
        }

        private void Tell(Func<bool> isNew, string trouble)
        {
            lock (_gate)
            {
                if (!isNew())
                    Trouble = trouble;
                Monitor.PulseAll(_gate);
            }
        }
    }
}
