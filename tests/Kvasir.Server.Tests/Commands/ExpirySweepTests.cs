using System.Text;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Server.Settings;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm;

namespace Kvasir.Server.Tests.Commands;

public sealed class ExpirySweepTests
{
    [Fact]
    public void SweepDeletesExpiredKeysAndTellsOfThem()
    {
        using var world = new CommandWorld();
        SessionPeer listener = Subscribe(world);
        for (int i = 0; i < 5000; i++)
            world.Execute("SET", $"k{i}", "v", "PX", i % 2 == 0 ? "100" : "100000");
        Assert.Equal(":5000\r\n", Text(world.Execute("DBSIZE")));
        world.Advance(TimeSpan.FromMilliseconds(101));
        world.Server.Expiry.Post();

        Assert.Equal(2500, PhysicalKeys(world, 0));
        Assert.Equal(2500, world.Server.Statistics.ExpiredKeys);
        Assert.Equal(2500, Text(listener.Receive()).Split("__keyevent@0__:expired").Length - 1);
        Assert.Equal(":2500\r\n", Text(world.Execute("DBSIZE")));
    }

    /// <summary>As Redis, which tells of each key once: what a flush or a compaction meets first is still the sweep's.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void KeysThatExpireBeforeTheirFilesAreWrittenAreToldOf(bool compacted)
    {
        using var world = new CommandWorld(engine: new LsmEngineFactory());
        SessionPeer listener = Subscribe(world);
        for (int i = 0; i < 3000; i++)
            world.Execute("SET", $"k{i}", "v", "PX", "100");
        if (compacted)
            FlushNow(world);
        world.Advance(TimeSpan.FromMilliseconds(101));
        FlushNow(world);
        if (compacted)
            world.Node.Database(0).Engine.Compact();
        world.Server.Expiry.Post();

        Assert.Equal(3000, world.Server.Statistics.ExpiredKeys);
        Assert.Equal(3000, Text(listener.Receive()).Split("__keyevent@0__:expired").Length - 1);
        Assert.Equal(0, PhysicalKeys(world, 0));
    }

    [Fact]
    public void WhatTheSweepDoesNotComeToGoesAfterADay()
    {
        using var world = new CommandWorld(engine: new LsmEngineFactory());
        world.Server.ActiveExpire = false;
        world.Execute("SET", "a", "v", "PX", "100");
        world.Execute("SET", "b", "v", "PX", "100");
        world.Advance(TimeSpan.FromHours(24));
        FlushNow(world);
        world.Node.Database(0).Engine.Compact();
        Assert.Equal(2, PhysicalKeys(world, 0));
        world.Advance(TimeSpan.FromMilliseconds(100));
        world.Node.Database(0).Engine.Compact();
        Assert.Equal(0, PhysicalKeys(world, 0));
    }

    [Fact]
    public void SweepRunsByTheClock()
    {
        using var world = new CommandWorld();
        world.Server.Expiry.Start();
        world.Execute("SET", "a", "v", "PX", "100");
        world.Execute("SELECT", "3");
        world.Execute("SET", "b", "v", "PX", "200");
        for (int i = 0; i < 10; i++)
        {
            world.Advance(TimeSpan.FromMilliseconds(50));
            while (world.Scheduler.Clock.FireDue())
            {
            }
        }

        world.Server.Expiry.Dispose();
        Assert.Equal(0, PhysicalKeys(world, 0) + PhysicalKeys(world, 3));
    }

    [Fact]
    public void SweepThatIsOffLeavesKeysToThoseWhoMeetThem()
    {
        using var world = new CommandWorld();
        SessionPeer listener = Subscribe(world);
        world.Server.ActiveExpire = false;
        world.Execute("SET", "a", "v", "PX", "100");
        world.Advance(TimeSpan.FromMilliseconds(101));
        world.Server.Expiry.Post();
        Assert.Equal(1, PhysicalKeys(world, 0));
        Assert.Equal("", Text(listener.Receive()));

        Assert.Equal("$-1\r\n", Text(world.Execute("GET", "a")));
        Assert.Equal(0, PhysicalKeys(world, 0));
        Assert.Contains("__keyevent@0__:expired\r\n$1\r\na\r\n", Text(listener.Receive()), StringComparison.Ordinal);
    }

    [Fact]
    public void DatabasesWithoutDueKeysAreNotWalkedAgain()
    {
        using var world = new CommandWorld();
        world.Execute("SET", "a", "v");
        world.Execute("SET", "b", "v", "PX", "5000");
        KeyCensus census = world.Node.Database(0).Census;
        world.Server.Expiry.Post();
        long due = world.Scheduler.Time.GetUtcNow().ToUnixTimeMilliseconds() + 5000;
        Assert.Equal(due, census.NextExpiryMs);
        Assert.Equal(long.MaxValue, world.Node.Database(1).Census.NextExpiryMs);
        world.Execute("PERSIST", "b");
        world.Advance(TimeSpan.FromSeconds(6));
        world.Server.Expiry.Post();
        Assert.Equal(long.MaxValue, census.NextExpiryMs);
    }

    /// <summary>Blind writes, looked-up writes, deletions, deadlines that pass: the count stays that of the keys one can see.</summary>
    [Theory]
    [InlineData(1UL)]
    [InlineData(2UL)]
    [InlineData(3UL)]
    public void CountIsAlwaysThatOfTheLivingKeys(ulong seed)
    {
        var random = new SeededRandom(seed);
        using var world = new CommandWorld();
        for (int i = 0; i < 20_000; i++)
        {
            string key = random.Next(200).ToString(System.Globalization.CultureInfo.InvariantCulture);
            switch (random.Next(12))
            {
                case 0 or 1 or 2:
                    world.Execute("SET", key, "v");
                    break;
                case 3:
                    world.Execute("SET", key, "v", "PX", random.Next(1, 500).ToString(System.Globalization.CultureInfo.InvariantCulture));
                    break;
                case 4:
                    world.Execute("INCR", key);
                    break;
                case 5 or 6:
                    world.Execute("DEL", key);
                    break;
                case 7:
                    world.Execute("PEXPIRE", key, random.Next(1, 500).ToString(System.Globalization.CultureInfo.InvariantCulture));
                    break;
                case 8:
                    world.Advance(TimeSpan.FromMilliseconds(random.Next(100)));
                    break;
                case 9:
                    world.Server.Expiry.Post();
                    break;
                case 10:
                    if (random.OneIn(300))
                        world.Execute("FLUSHALL");
                    else
                        world.Execute("RENAME", key, "200");
                    break;
                default:
                    string visible = Text(world.Execute("KEYS", "*"));
                    string counted = Text(world.Execute("DBSIZE"));
                    Assert.True(
                        string.Equals(visible[1..visible.IndexOf('\r')], counted[1..^2], StringComparison.Ordinal),
                        $"seed {seed}, step {i}: DBSIZE {counted}, KEYS {visible[..visible.IndexOf('\r')]}");
                    break;
            }
        }
    }

    [Fact]
    public void DamageStopsTheSweepOfItsDatabaseOnlyAndIsToldOnce()
    {
        using var world = new CommandWorld(engine: new LsmEngineFactory());
        List<string> told = [];
        world.Server.SweepFailed = (database, failure) => told.Add($"db{database}: {failure.Message}");
        foreach (string database in new[] { "0", "1" })
        {
            world.Execute("SELECT", database);
            for (int i = 0; i < 100; i++)
                world.Execute("SET", $"k{i}", "v", "PX", i == 50 ? "1000000" : "100");
        }

        world.Node.Log.Commit();
        world.Node.Database(0).Engine.Flush();
        world.Scheduler.RunAll();
        world.Disk.Faults.Add(new FaultRule(DiskFault.FlipBit, DiskOperationKind.Read, "/db0/"));
        world.Advance(TimeSpan.FromMilliseconds(101));
        for (int i = 0; i < 3; i++)
        {
            world.Server.Expiry.Post();
            world.Advance(TimeSpan.FromSeconds(11));
        }

        Assert.Equal(1, PhysicalKeys(world, 1));
        string line = Assert.Single(told);
        Assert.Matches("^db0: /data/keyspaces/db0/.* is damaged at offset [0-9]+", line);

        world.Execute("SELECT", "0");
        Assert.Matches("^-ERR /data/keyspaces/db0/.* is damaged at offset [0-9]+", Text(world.Execute("DBSIZE")));
        Assert.Matches("^-ERR /data/keyspaces/db0/.* is damaged at offset [0-9]+", Text(world.Connect().Execute(["KEYS"u8.ToArray(), "*"u8.ToArray()])));
        world.Disk.Faults.Clear();
        world.Advance(TimeSpan.FromSeconds(11));
        world.Server.Expiry.Post();
        Assert.Equal(1, PhysicalKeys(world, 0));
    }

    [Fact]
    public void CountThatWasCutShortIsNotTakenForTheNumberOfKeys()
    {
        using var world = new CommandWorld(engine: new LsmEngineFactory());
        for (int i = 0; i < 3000; i++)
            world.Execute("SET", $"k{i:d4}", new string('v', 100), "PX", i == 0 ? "100" : "1000000");
        Assert.Equal(":3000\r\n", Text(world.Execute("DBSIZE")));
        world.Node.Log.Commit();
        world.Node.Database(0).Engine.Flush();
        world.Scheduler.RunAll();
        world.Advance(TimeSpan.FromMilliseconds(101));
        world.Disk.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Read, "/db0/") { Skip = 1 });
        Assert.StartsWith("-IOERR", Text(world.Execute("DBSIZE")), StringComparison.Ordinal);
        world.Disk.Faults.Clear();
        Assert.Equal(":2999\r\n", Text(world.Connect().Execute(["DBSIZE"u8.ToArray()])));
    }

    private static SessionPeer Subscribe(CommandWorld world)
    {
        world.Execute("CONFIG", "SET", "notify-keyspace-events", "Ex");
        world.Server.Events.Wanted = Kvasir.Server.Settings.KeyEventClass.Keyevent | Kvasir.Server.Settings.KeyEventClass.Expired;
        SessionPeer listener = world.Connect();
        listener.Execute("PSUBSCRIBE *");
        return listener;
    }

    private static void FlushNow(CommandWorld world)
    {
        world.Node.Log.Commit();
        world.Node.Database(0).Engine.Flush();
        world.Scheduler.RunAll();
    }

    private static int PhysicalKeys(CommandWorld world, int database)
    {
        using EngineScan iterator = world.Node.Database(database).Engine.CreateScan(
            new IteratorOptions { KeysOnly = true, IncludeExpired = true });
        int count = 0;
        for (iterator.SeekToFirst(); iterator.Valid; iterator.Next())
            count++;
        return count;
    }

    private static string Text(byte[] reply) => Encoding.Latin1.GetString(reply);
}
