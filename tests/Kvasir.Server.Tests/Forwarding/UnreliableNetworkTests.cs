using System.Globalization;
using System.Text;
using Kvasir.Primitives;

namespace Kvasir.Server.Tests.Forwarding;

/// <summary>
/// Clients on three nodes count up and read, while messages are lost and doubled, links are cut, and leads move. Every
/// request has one reply, in order; nothing is counted that was refused for certain, and everything that was confirmed.
/// </summary>
public sealed class UnreliableNetworkTests
{
    private const int Keys = 6;

    [Fact]
    public void EveryReplyIsTrue()
    {
        for (ulong seed = 1; seed <= 40; seed++)
            Run(seed);
    }

    /// <summary>Each client's words stand in every value in the order in which it sent them, each once at most.</summary>
    [Fact]
    public void EveryClientsOrderIsKept()
    {
        for (ulong seed = 1; seed <= 60; seed++)
        {
            SeededRandom random = new(seed);
            ClusterInMemory cluster = new(nodes: 3);
            ClusterClient[] clients = [.. Enumerable.Range(0, 4).Select(i => new ClusterClient(cluster, (i % 3) + 1))];
            int word = 0;
            for (int step = 0; step < 120; step++)
            {
                int who = random.Next(clients.Length);
                ClusterClient client = clients[who];
                if (client.Peer.Session.Suspended is null)
                {
                    string[] lines = [.. Enumerable.Range(0, 1 + random.Next(4)).Select(_ => $"APPEND n{random.Next(3)} {who}:{++word};")];
                    client.Peer.Send(Encoding.Latin1.GetBytes(string.Concat(lines.Select(l => l + "\r\n"))));
                    cluster.Flush();
                }

                GroupInMemory group = cluster.Groups[random.Next(ClusterInMemory.Shards)];
                switch (random.Next(12))
                {
                    case 0 when !group.Leader.IsNone:
                        cluster.Depose(group);
                        break;
                    case 1 when !group.Leader.IsNone:
                        cluster.Lead(group, random.Next(3) + 1);
                        break;
                    case 2:
                        int a = random.Next(3) + 1;
                        cluster.Cut(a, (a % 3) + 1);
                        cluster.Join(a, (a % 3) + 1);
                        break;
                    case 3:
                        cluster.Believes(random.Next(3) + 1, group, random.Next(3) + 1);
                        break;
                }

                if (group.Leader.IsNone && random.OneIn(2))
                    cluster.Lead(group, random.Next(3) + 1);
                for (int i = random.Next(5); i > 0 && cluster.Step(); i--)
                {
                }

                if (random.OneIn(4))
                    cluster.Advance(5);
                Go(clients);
            }

            foreach (GroupInMemory group in cluster.Groups)
                cluster.Lead(group, 1);
            for (int i = 0; i < 100; i++)
            {
                cluster.Advance(5);
                Go(clients);
            }

            for (int key = 0; key < 3; key++)
            {
                string[] reply = (clients[0].Send($"GET n{key}") + clients[0].Wait(50)).Split("\r\n");
                int[][] words = [.. (reply.Length > 1 ? reply[1] : "").Split(';', StringSplitOptions.RemoveEmptyEntries)
                    .Select(w => w.Split(':').Select(n => int.Parse(n, CultureInfo.InvariantCulture)).ToArray())];
                for (int who = 0; who < clients.Length; who++)
                {
                    int[] own = [.. words.Where(w => w[0] == who).Select(w => w[1])];
                    Assert.True(own.Zip(own.Skip(1)).All(p => p.First < p.Second), $"seed {seed}: n{key} has of client {who} {string.Join(' ', own)}");
                }
            }
        }

        static void Go(ClusterClient[] clients)
        {
            foreach (ClusterClient client in clients)
            {
                if (client.Peer.Session.Suspended is not null || client.Peer.Session.HasMore)
                {
                    client.Peer.Session.Execute();
                    client.Peer.Session.Input.TakeBack();
                }

                client.Receive();
            }
        }
    }

    private static void Run(ulong seed)
    {
        SeededRandom random = new(seed);
        ClusterInMemory cluster = new(nodes: 3);
        bool faulty = random.OneIn(4) is false;
        cluster.Loses = () => faulty && random.OneIn(40);
        cluster.Doubles = () => faulty && random.OneIn(20);
        Writer[] writers = [.. Enumerable.Range(0, 6).Select(i => new Writer(cluster, (i % 3) + 1))];
        for (int step = 0; step < 150; step++)
        {
            Writer writer = writers[random.Next(writers.Length)];
            writer.Send(random);
            switch (random.Next(40))
            {
                case 0:
                    GroupInMemory group = cluster.Groups[random.Next(ClusterInMemory.Shards)];
                    if (!group.Leader.IsNone)
                        cluster.Depose(group);
                    break;
                case 1:
                    int a = random.Next(3) + 1;
                    int b = (a % 3) + 1;
                    cluster.Cut(a, b);
                    cluster.Join(a, b);
                    break;
                case 2:
                    foreach (GroupInMemory slow in cluster.Groups.Take(ClusterInMemory.Shards))
                        slow.CommitsAtOnce = !random.OneIn(3);
                    break;
                case 3:
                    cluster.Groups[random.Next(ClusterInMemory.Shards)].LacksLease = random.OneIn(2);
                    break;
            }

            foreach (GroupInMemory group in cluster.Groups.Take(ClusterInMemory.Shards).Where(g => g.Leader.IsNone && random.OneIn(10)))
                cluster.Lead(group, random.Next(3) + 1);
            if (random.OneIn(2))
                cluster.Advance(5);
            foreach (Writer each in writers)
                each.Take();
        }

        faulty = false;
        foreach (GroupInMemory group in cluster.Groups)
        {
            group.CommitsAtOnce = true;
            group.LacksLease = false;
            if (group.Leader.IsNone)
                cluster.Lead(group, 1);
        }

        // A frame that was lost last of all shows when the next one comes, or when the link breaks.
        for (int i = 1; i <= 3; i++)
        {
            cluster.Cut(i, (i % 3) + 1);
            cluster.Join(i, (i % 3) + 1);
        }

        for (int i = 0; i < 600; i++)
        {
            cluster.Advance(5);
            foreach (Writer each in writers)
                each.Take();
        }

        long[] confirmed = new long[Keys];
        long[] unknown = new long[Keys];
        foreach (Writer writer in writers)
            writer.Check(seed, confirmed, unknown);
        ClusterClient reader = new(cluster, 1);
        for (int i = 0; i < Keys; i++)
        {
            string[] reply = (reader.Send($"GET n{i}") + reader.Wait(50)).Split("\r\n");
            long value = reply[0] == "$-1" ? 0 : long.Parse(reply[1], CultureInfo.InvariantCulture);
            Assert.True(value >= confirmed[i] && value <= confirmed[i] + unknown[i], $"seed {seed}: n{i} is {value}, {confirmed[i]} were confirmed and {unknown[i]} unknown");
        }
    }

    private sealed class Writer(ClusterInMemory cluster, int node)
    {
        private readonly ClusterClient _client = new(cluster, node);
        private readonly List<(bool Counts, int Key)> _sent = [];
        private readonly StringBuilder _received = new();

        public void Send(SeededRandom random)
        {
            if (_client.Peer.Session.Suspended is not null)
                return;
            StringBuilder lines = new();
            for (int i = random.Next(3); i >= 0; i--)
            {
                int key = random.Next(Keys);
                bool counts = !random.OneIn(4);
                lines.Append(CultureInfo.InvariantCulture, $"{(counts ? "INCR" : "GET")} n{key}\r\n");
                _sent.Add((counts, key));
            }

            _received.Append(Encoding.Latin1.GetString(_client.Peer.Send(Encoding.Latin1.GetBytes(lines.ToString()))));
            if (random.OneIn(2))
                cluster.Pump();
        }

        public void Take()
        {
            if (_client.Peer.Session.Suspended is not null || _client.Peer.Session.HasMore)
            {
                _client.Peer.Session.Execute();
                _client.Peer.Session.Input.TakeBack();
            }

            _received.Append(_client.Receive());
        }

        public void Check(ulong seed, long[] confirmed, long[] unknown)
        {
            string[] lines = _received.ToString().Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
            int line = 0;
            foreach ((bool counts, int key) in _sent)
            {
                Assert.True(line < lines.Length, $"seed {seed}: a reply is missing");
                string reply = lines[line++];
                if (reply[0] == '-')
                {
                    if (counts && reply.StartsWith("-TIMEOUT", StringComparison.Ordinal))
                        unknown[key]++;
                    continue;
                }

                Assert.True(reply[0] == (counts ? ':' : '$'), $"seed {seed}: {reply} answers the wrong request");
                if (counts)
                    confirmed[key]++;
                else if (reply != "$-1")
                    line++;
            }

            Assert.True(line == lines.Length, $"seed {seed}: {lines.Length - line} lines too many");
        }
    }
}
