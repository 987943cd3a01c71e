using System.Globalization;
using System.Net;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Primitives;
using Kvasir.Server.Hosting;
using Kvasir.Server.Tests.Hosting;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Machine;

namespace Kvasir.Server.Tests.Stress;

/// <summary>
/// Money that many clients move between accounts in all databases: whatever a transaction, a reader or a checkpoint sees,
/// the sum stays.
/// </summary>
public sealed class TransactionStressTests
{
    private const int Accounts = 24;
    private const int Databases = ServedNode.DatabaseCount;
    private const int Start = 1000;
    private const int Movers = 4;

    private static readonly JournalOptions s_smallJournal = new() { FirstSegmentBytes = 16 << 10, SegmentBytes = 64 << 10 };

    [Theory]
    [InlineData(Durability.Sync, 1, 1)]
    [InlineData(Durability.Sync, 3, 2)]
    [InlineData(Durability.None, 3, 3)]
    public async Task NoMoneyIsLostOrMade(Durability durability, int loops, ulong seed)
    {
        if (!OperatingSystem.IsLinux())
            return;
        ServerOptions options = new() { Resp = [new(IPAddress.Loopback, 0)], IoThreads = loops };
        await using ServedNode served = await ServedNode.Start(options, durability, LsmOptions.Tiny, s_smallJournal);
        IPEndPoint endPoint = served.Server.Resp[0];
        using RespClient client = new(endPoint);
        for (int i = 0; i < Accounts; i++)
        {
            Select(client, i);
            Assert.Equal("OK", client.Call("SET", Account(i), Number(Start)));
        }

        Crew crew = new();
        long[] moved = new long[Movers];
        for (int i = 0; i < Movers; i++)
        {
            int mover = i;
            crew.Add($"mover {i}", () => Move(endPoint, new SeededRandom((seed * 100) + (ulong)mover), crew, ref moved[mover]));
        }

        crew.Add("filler", () => Fill(endPoint, new SeededRandom(seed + 50), crew));
        crew.Add("reader", () =>
        {
            using RespClient reader = new(endPoint);
            while (crew.GoesOn)
                Assert.Equal(Accounts * Start, Sum(reader));
        });
        crew.Lead(() =>
        {
            for (int i = 0; i < 6 * Crew.Scale && crew.GoesOn; i++)
                CheckCheckpoint(client, served, $"seed {seed}, checkpoint {i}");
        });

        // Each change of the counter was built on the one before, or it was not made.
        Select(client, 0);
        Assert.Equal($"\"{Number(moved.Sum())}\"", client.Call("GET", "moves"));
        Assert.Equal(Accounts * Start, Sum(client));
        Assert.True(moved.Sum() > 20, "the movers hardly came to work");
    }

    /// <summary>Reads, computes here, and writes only if nobody wrote meanwhile; or lets the server compute.</summary>
    private static void Move(IPEndPoint endPoint, SeededRandom random, Crew crew, ref long moved)
    {
        using RespClient client = new(endPoint);
        while (crew.GoesOn)
        {
            int from = random.Next(Accounts);
            int to = (from + random.Next(1, Accounts)) % Accounts;
            int amount = random.Next(1, 100);
            if (random.OneIn(3))
            {
                client.Add("MULTI");
                AddSelect(client, from);
                client.Add("DECRBY", Account(from), Number(amount));
                AddSelect(client, to);
                client.Add("INCRBY", Account(to), Number(amount));
                client.Add("EXEC");
                for (int i = 0; i < 5; i++)
                    client.Receive();
                Assert.StartsWith("[OK :", client.Receive(), StringComparison.Ordinal);
                continue;
            }

            Watch(client, 0, "moves");
            Watch(client, from, Account(from));
            Watch(client, to, Account(to));
            long moves = Value(client, 0, "moves");
            long fromHas = Value(client, from, Account(from));
            long toHas = Value(client, to, Account(to));
            client.Add("MULTI");
            AddSelect(client, 0);
            client.Add("SET", "moves", Number(moves + 1));
            AddSelect(client, from);
            client.Add("SET", Account(from), Number(fromHas - amount));
            AddSelect(client, to);
            client.Add("SET", Account(to), Number(toHas + amount));
            client.Add("EXEC");
            for (int i = 0; i < 7; i++)
                client.Receive();
            string outcome = client.Receive();
            if (outcome == "nil")
                continue;
            Assert.Equal("[OK OK OK OK OK OK]", outcome);
            moved++;
        }
    }

    /// <summary>Large values in all databases, so that flushes and compactions come in between.</summary>
    private static void Fill(IPEndPoint endPoint, SeededRandom random, Crew crew)
    {
        using RespClient client = new(endPoint);
        while (crew.GoesOn)
        {
            AddSelect(client, random.Next(Databases));
            for (int i = 0; i < 10; i++)
                client.Add("SET", "filler" + Number(random.Next(200)), new string('x', random.Next(600)));
            for (int i = 0; i < 11; i++)
                Assert.Equal("OK", client.Receive());
        }
    }

    private static long Sum(RespClient client)
    {
        client.Add("MULTI");
        for (int i = 0; i < Databases; i++)
        {
            AddSelect(client, i);
            client.Add(["MGET", .. Enumerable.Range(0, Accounts).Where(a => a % Databases == i).Select(Account)]);
        }

        client.Add("EXEC");
        for (int i = 0; i < 1 + (2 * Databases); i++)
            client.Receive();
        return client.Receive().Split('"').Where((_, i) => i % 2 == 1).Sum(t => long.Parse(t, CultureInfo.InvariantCulture));
    }

    private static void CheckCheckpoint(RespClient client, ServedNode served, string where)
    {
        Assert.StartsWith("Background saving", client.Call("BGSAVE"), StringComparison.Ordinal);
        while (!client.Call("INFO", "persistence").Contains("rdb_bgsave_in_progress:0", StringComparison.Ordinal))
        {
        }

        Assert.Contains("rdb_last_bgsave_status:ok", client.Call("INFO", "persistence"), StringComparison.Ordinal);
        string newest = Directory.GetDirectories(served.Folder + "/checkpoints").Order(StringComparer.Ordinal).Last();
        using ThreadScheduler scheduler = new(TimeProvider.System);
        using KvasirNode copy = KvasirNode.Open(
            new NodeOptions { Folder = newest, DatabaseCount = Databases, MemoryBytes = 32 << 20, Journal = s_smallJournal },
            new NodeEnvironment(new PosixFileSystem(), scheduler, [new LsmEngineFactory(LsmOptions.Tiny)], Seed: 1));
        long sum = 0;
        BytesBuffer value = new();
        for (int i = 0; i < Accounts; i++)
        {
            value.Clear();
            Assert.True(
                copy.Database(i % Databases).Engine.Get(System.Text.Encoding.ASCII.GetBytes(Account(i)), ReadView.Published, value).Found,
                $"{where} lacks {Account(i)}");

            // The first byte says what kind of value it is.
            sum += long.Parse(value.WrittenSpan[1..], CultureInfo.InvariantCulture);
        }

        Assert.True(sum == Accounts * Start, $"{where}: the accounts hold {sum}");
    }

    private static void Watch(RespClient client, int account, string key)
    {
        Select(client, account);
        Assert.Equal("OK", client.Call("WATCH", key));
    }

    private static long Value(RespClient client, int account, string key)
    {
        Select(client, account);
        string reply = client.Call("GET", key);
        return reply == "nil" ? 0 : long.Parse(reply.Trim('"'), CultureInfo.InvariantCulture);
    }

    private static void Select(RespClient client, int account)
    {
        AddSelect(client, account);
        Assert.Equal("OK", client.Receive());
    }

    private static void AddSelect(RespClient client, int account) => client.Add("SELECT", Number(account % Databases));

    private static string Account(int number) => "account" + Number(number);

    private static string Number(long number) => number.ToString(CultureInfo.InvariantCulture);
}
