using System.Text;
using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.BTree;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>A keyspace of a node that is alone moves to another engine while it is written.</summary>
public sealed class ConversionTests : IDisposable
{
    private readonly SimulatedScheduler _scheduler = new(new SeededRandom(2));
    private readonly SimulatedFileSystem _disk = new(new SeededRandom(1));
    private IReadOnlyList<IEngineFactory> _engines =
        [new LsmEngineFactory(LsmOptions.Tiny), new HashLogEngineFactory(HashLogOptions.Tiny), new BTreeEngineFactory()];

    private KvasirNode _node;

    public ConversionTests() => _node = Open(_disk);

    public void Dispose() => _node.Dispose();

    [Theory]
    [InlineData("log")]
    [InlineData("btree")]
    public void EverythingIsInTheNewEngineThereAndAfterARestart(string engine)
    {
        Fill(0, 300);
        Begin("db0", engine);
        Write(e => e.Put(_node.Database(0), "written meanwhile"u8, [], "w"u8, 0));
        Write(e => e.Delete(_node.Database(0), Key(7)));
        ConversionStatus status = Finish("db0");

        Assert.Equal(ConversionStage.Done, status.Stage);
        Assert.NotNull(status.Checksum);
        Assert.Equal(engine, _node.Database(0).Options.Engine);
        Write(e => e.Put(_node.Database(0), "written behind it"u8, [], "b"u8, 0));
        Check();
        Restart();
        Check();
        Assert.Equal(engine, _node.Database(0).Options.Engine);
        Assert.Equal("lsm", _node.Database(1).Options.Engine);
        Assert.Equal(["/data/keyspaces/db0.1"], Folders("db0"));

        void Check()
        {
            Assert.Equal(301, Count(0));
            Assert.Equal("w", Get(0, "written meanwhile"u8));
            Assert.Equal("b", Get(0, "written behind it"u8));
            Assert.Null(Get(0, Key(7)));
            Assert.Equal("value 8", Get(0, Key(8)));
        }
    }

    [Fact]
    public void AnEmptyKeyspaceCanBeMovedAndMovedBack()
    {
        Convert("db3", "log");
        Convert("db3", "lsm");
        Restart();
        Fill(3, 5);
        Assert.Equal(5, Count(3));
        Assert.Equal("lsm", _node.Database(3).Options.Engine);
        Assert.Equal(["/data/keyspaces/db3.2"], Folders("db3"));
    }

    [Fact]
    public void DeadlinesAreKeptAndWhatHasExpiredStaysToBeTold()
    {
        long nowMs = _scheduler.Time.GetUtcNow().ToUnixTimeMilliseconds();
        Write(e => e.Put(_node.Database(0), "soon"u8, [], "s"u8, nowMs + 3_600_000));
        Write(e => e.Put(_node.Database(0), "gone"u8, [], "g"u8, nowMs + 1));
        _scheduler.Clock.Advance(TimeSpan.FromSeconds(1));
        Convert("db0", "log");

        IStorageEngine engine = _node.Database(0).Engine;
        Assert.Equal(nowMs + 3_600_000, engine.Get("soon"u8, ReadView.Published, value: null).ExpiresAtMs);
        EntryInfo gone = engine.Get("gone"u8, ReadView.Published, value: null);
        Assert.False(gone.Found);
        Assert.Equal(nowMs + 1, gone.ExpiresAtMs);
    }

    /// <summary>A B+tree takes keys of a part of a page.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AKeyThatTheEngineCannotTakeEndsIt(bool meanwhile)
    {
        byte[] key = new byte[30_000];
        Fill(0, 3);
        if (!meanwhile)
            Write(e => e.Put(_node.Database(0), key, [], "v"u8, 0));
        Begin("db0", "btree");
        if (meanwhile)
        {
            RunUntil("db0", ConversionStage.CatchingUp);
            Write(e => e.Put(_node.Database(0), key, [], "v"u8, 0));
        }

        ConversionStatus status = Finish("db0");
        Assert.Equal(ConversionStage.Failed, status.Stage);
        Assert.Contains("a key of 30000 bytes, and the engine btree takes keys of at most", status.Reason, StringComparison.Ordinal);
        Unchanged(4);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AValueThatTheEngineCannotTakeEndsIt(bool meanwhile)
    {
        byte[] value = new byte[1001];
        _engines = [_engines[0], new ModelEngineFactory { Name = "btree", ValueBytesMax = 1000 }];
        Restart();
        Fill(0, 3);
        if (!meanwhile)
            Write(e => e.Put(_node.Database(0), "long"u8, [], value, 0));
        Begin("db0", "btree");
        if (meanwhile)
        {
            RunUntil("db0", ConversionStage.CatchingUp);
            Write(e => e.Put(_node.Database(0), "long"u8, [], value, 0));
        }

        ConversionStatus status = Finish("db0");
        Assert.Equal(ConversionStage.Failed, status.Stage);
        Assert.Contains("a value of 1001 bytes, and the engine btree takes values of at most 1000", status.Reason, StringComparison.Ordinal);
        Assert.Equal(1001, Get(0, "long"u8)!.Length);
        Unchanged(4);

        // And once it is gone it can be.
        Write(e => e.Put(_node.Database(0), "long"u8, [], value.AsSpan(1), 0));
        Convert("db0", "btree");
        Assert.Equal(4, Count(0));
    }

    [Fact]
    public void MoreKeysThanTheIndexTakesEndIt()
    {
        _engines = [_engines[0], new HashLogEngineFactory(HashLogOptions.Tiny with { IndexBytes = 64 << 10 })];
        Restart();
        Fill(0, 6000);
        Begin("db0", "log");
        ConversionStatus status = Finish("db0");
        Assert.Equal(ConversionStage.Failed, status.Stage);
        Assert.Contains("there are more keys than the engine log may hold", status.Reason, StringComparison.Ordinal);
        Unchanged(6000);
    }

    [Theory]
    [InlineData(ConversionStage.Preparing)]
    [InlineData(ConversionStage.Copying)]
    [InlineData(ConversionStage.CatchingUp)]
    [InlineData(ConversionStage.Comparing)]
    public void ItCanBeAbortedUntilItSwitches(ConversionStage stage)
    {
        Fill(0, 50);
        Begin("db0", "log");
        RunUntil("db0", stage);
        Assert.Null(Ask(() => _node.AbortConversion("db0")));
        ConversionStatus status = Finish("db0");
        Assert.Equal(ConversionStage.Aborted, status.Stage);
        Unchanged(50);
        Assert.NotNull(Ask(() => _node.AbortConversion("db0")));
        Convert("db0", "log");
    }

    [Fact]
    public void WhatMakesNoSenseIsRefused()
    {
        Assert.Contains("no such keyspace", Ask(() => _node.BeginConversion("db9", "log")), StringComparison.Ordinal);
        Assert.Contains("there are lsm, log, btree", Ask(() => _node.BeginConversion("db0", "heap")), StringComparison.Ordinal);
        Assert.Contains("has the engine lsm", Ask(() => _node.BeginConversion("db0", "lsm")), StringComparison.Ordinal);
        Begin("db0", "log");
        Assert.Contains("one at a time", Ask(() => _node.BeginConversion("db1", "log")), StringComparison.Ordinal);
        Assert.Null(Ask(() => _node.ConversionOf("db1")));
    }

    /// <summary>A flush of the hash log takes what is stable at that moment, and nothing later asks for another.</summary>
    [Theory]
    [InlineData("log", "lsm")]
    [InlineData("lsm", "log")]
    [InlineData("btree", "log")]
    public void WhatIsNotDurableWhenItBeginsDoesNotHoldItUp(string from, string to)
    {
        if (from != "lsm")
            Convert("db0", from);
        Fill(0, 10);
        _scheduler.RunAll();
        _node.Mailbox.Post(new ActionItem(execution =>
        {
            execution.Put(_node.Database(0), "nobody has synced this"u8, [], "v"u8, 0);
            execution.Commit();
            execution.TakeGate();
        }));
        Convert("db0", to);
        Assert.Equal(11, Count(0));
    }

    [Fact]
    public void WhatAStopLeavesOfTheOldEngineGoesAtTheStart()
    {
        Fill(0, 50);
        Begin("db0", "log");
        RunUntil("db0", ConversionStage.Done);
        Assert.Equal(["/data/keyspaces/db0", "/data/keyspaces/db0.1"], Folders("db0"));
        Restart();
        Assert.Equal(["/data/keyspaces/db0.1"], Folders("db0"));
        Assert.Equal(50, Count(0));
    }

    [Fact]
    public void TheNextOneWaitsForWhatTheLastOneLeaves()
    {
        Fill(0, 50);
        Begin("db0", "log");
        RunUntil("db0", ConversionStage.Done);
        Assert.Equal(["/data/keyspaces/db0", "/data/keyspaces/db0.1"], Folders("db0"));
        Convert("db0", "btree");
        Assert.Equal(["/data/keyspaces/db0.2"], Folders("db0"));
        Assert.Equal(50, Count(0));
    }

    /// <summary>One that was ended while it waited for what the last one leaves takes nothing from the next.</summary>
    [Fact]
    public void TheOneAfterOneThatWaitedWaitsToo()
    {
        Fill(0, 50);
        Begin("db0", "log");
        RunUntil("db0", ConversionStage.Done);
        Begin("db0", "btree");
        Assert.Null(Ask(() => _node.AbortConversion("db0")));
        RunUntil("db0", ConversionStage.Aborted);
        Assert.Equal(["/data/keyspaces/db0", "/data/keyspaces/db0.1"], Folders("db0"));
        Convert("db0", "btree");
        Assert.Equal(["/data/keyspaces/db0.3"], Folders("db0"));
        Assert.Equal(50, Count(0));
    }

    /// <summary>A copy that is wrong is found by the comparison.</summary>
    [Fact]
    public void ACopyThatIsNotWhatWasCopiedIsThrownAway()
    {
        HookedEngineFactory hooked = new(_engines[2]);
        _engines = [_engines[0], hooked];
        Restart();
        Fill(0, 50);
        Begin("db0", "btree");
        RunUntil("db0", ConversionStage.Copying);
        WriteBatch changed = new();
        changed.Put(Key(8), "value 9"u8);
        hooked.StagedBeside = changed.Bytes.ToArray();
        ConversionStatus status = Finish("db0");
        Assert.Equal(ConversionStage.Failed, status.Stage);
        Assert.Contains("the copy is not what was copied", status.Reason, StringComparison.Ordinal);
        Unchanged(50);
    }

    [Fact]
    public void ASwitchThatTheDiskRefusesLeavesTheKeyspaceAsItWas()
    {
        Fill(0, 50);
        Begin("db0", "log");
        int refusals = 3;
        _disk.BeforeOperation = operation =>
        {
            if (operation is { Kind: DiskOperationKind.SyncFolder, Path: "/data" } && refusals-- > 0)
                _disk.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.SyncFolder) { Times = 1 });
        };
        RunUntil("db0", ConversionStage.Withdrawing);
        Assert.Equal(2, refusals);
        Fill(0, 60);
        ConversionStatus status = Finish("db0");
        Assert.Equal(ConversionStage.Failed, status.Stage);
        Assert.True(refusals < 0, "it was not tried again until it was certain");
        Unchanged(60);
        Restart();
        Unchanged(60);
    }

    [Fact]
    public void AStopInTheMiddleLeavesTheKeyspaceAsItWas()
    {
        Fill(0, 50);
        Begin("db0", "log");
        RunUntil("db0", ConversionStage.Comparing);
        Restart();
        Unchanged(50);
        Assert.Null(Ask(() => _node.ConversionOf("db0")));
        Convert("db0", "btree");
    }

    [Fact]
    public void ACheckpointHasTheEngineThatItsKeyspaceHad()
    {
        Fill(0, 50);
        Convert("db0", "log");
        _node.Checkpoint("/copy");
        using KvasirNode copy = Open(_disk, "/copy");
        Assert.Equal("log", copy.Database(0).Options.Engine);
        Assert.Equal("value 8", Get(copy, 0, Key(8)));
    }

    [Fact]
    public void ATableThatIsLostStopsTheStart()
    {
        const string Path = "/data/KEYSPACES";
        Fill(0, 50);
        Convert("db0", "log");
        _node.Dispose();
        byte[] sound = _disk.ReadAll(Path);
        _disk.Delete(Path);
        Assert.Contains(Path, Assert.ThrowsAny<StorageException>(() => Open(_disk)).Message, StringComparison.Ordinal);
        _disk.WriteAll(Path, sound);
        _node = Open(_disk);
        Assert.Equal(50, Count(0));
    }

    [Fact]
    public void AKeyspaceWithANameMovesAndIsNotDroppedMeanwhile()
    {
        Assert.Null(Ask(() => _node.CreateKeyspace(Request("sessions", "log"))));
        int database = Ask(() => _node.FindKeyspace("sessions"u8));
        Fill(database, 50);
        Begin("sessions", "btree");
        Assert.Contains("on its way to another engine", Ask(() => _node.DropKeyspace("sessions", out _)), StringComparison.Ordinal);
        Assert.Equal(ConversionStage.Done, Finish("sessions").Stage);
        Restart();
        database = Ask(() => _node.FindKeyspace("sessions"u8));
        Assert.Equal("btree", _node.Database(database).Options.Engine);
        Assert.Equal(50, Count(database));
        Assert.Equal(["/data/keyspaces/sessions.2"], Folders("sessions"));
        Assert.Null(Ask(() => _node.DropKeyspace("sessions", out _)));
        Assert.Null(Ask(() => _node.CreateKeyspace(Request("sessions", "lsm"))));
        Restart();
        Assert.Equal(0, Count(Ask(() => _node.FindKeyspace("sessions"u8))));
        Assert.Equal(["/data/keyspaces/sessions.3"], Folders("sessions"));
    }

    private static KeyspaceRequest Request(string name, string engine) =>
        new() { Name = name, Engine = engine, Partitioning = "static", Shards = 1, Replicas = 1 };

    private static byte[] Key(int i) => Encoding.ASCII.GetBytes($"key {i}");

    private void Fill(int database, int rows) => Write(e =>
    {
        for (int i = 0; i < rows; i++)
            e.Put(_node.Database(database), Key(i), [], Encoding.ASCII.GetBytes($"value {i}"), 0);
    });

    private void Unchanged(int rows)
    {
        Assert.Equal("lsm", _node.Database(0).Options.Engine);
        Assert.Equal(rows, Count(0));
        Assert.Equal(["/data/keyspaces/db0"], Folders("db0"));
        Write(e => e.Put(_node.Database(0), Key(0), [], "again"u8, 0));
        Assert.Equal("again", Get(0, Key(0)));
    }

    private string[] Folders(string keyspace) =>
        [.. _disk.ListFolders("/data/keyspaces").Where(f => f.Split('.')[0] == keyspace).Select(f => "/data/keyspaces/" + f)];

    private void Convert(string keyspace, string engine)
    {
        Begin(keyspace, engine);
        ConversionStatus status = Finish(keyspace);
        Assert.True(status.Stage == ConversionStage.Done, status.Reason);
    }

    private void Begin(string keyspace, string engine) => Assert.Null(Ask(() => _node.BeginConversion(keyspace, engine)));

    private ConversionStatus Finish(string keyspace)
    {
        for (int i = 0; i < 2000; i++)
        {
            ConversionStatus status = Ask(() => _node.ConversionOf(keyspace))!;
            if (status.IsEnded)
            {
                // What was left behind goes a little later.
                for (int j = 0; j < 2; j++)
                {
                    _scheduler.RunAll();
                    _scheduler.Clock.Advance(TimeSpan.FromSeconds(2));
                }

                _scheduler.RunAll();
                return status;
            }

            Go();
        }

        throw new TimeoutException("the conversion does not end");
    }

    private void RunUntil(string keyspace, ConversionStage stage)
    {
        for (int i = 0; Ask(() => _node.ConversionOf(keyspace))!.Stage != stage; i++)
        {
            Assert.True(i < 2000, $"it never comes to {stage}");
            Go();
        }
    }

    private void Go()
    {
        if (!_scheduler.RunOne())
            _scheduler.Clock.Advance(TimeSpan.FromMilliseconds(10));
    }

    private void Write(Action<Execution> action)
    {
        _node.Mailbox.Post(new ActionItem(execution =>
        {
            action(execution);
            execution.Commit();
            execution.TakeGate();
        }));
        _node.Log.Commit();
    }

    private T Ask<T>(Func<T> question)
    {
        T? answer = default;
        _node.Mailbox.Post(new ActionItem(_ => answer = question()));
        return answer!;
    }

    private string? Get(int database, ReadOnlySpan<byte> key) => Get(_node, database, key);

    private static string? Get(KvasirNode node, int database, ReadOnlySpan<byte> key)
    {
        BytesBuffer value = new();
        return node.Database(database).Engine.Get(key, ReadView.Published, value).Found ? Encoding.ASCII.GetString(value.WrittenSpan) : null;
    }

    private int Count(int database)
    {
        using EngineScan scan = _node.Database(database).Engine.CreateScan(default);
        int count = 0;
        for (scan.SeekToFirst(); scan.Valid; scan.Next())
            count++;
        return count;
    }

    private void Restart()
    {
        _node.Dispose();
        _scheduler.RunAll();
        _node = Open(_disk);
    }

    private KvasirNode Open(SimulatedFileSystem disk, string folder = "/data") => KvasirNode.Open(
        new NodeOptions { Folder = folder, DatabaseCount = 4, Durability = Durability.Sync, MemoryBytes = MemoryBudget.MinimumBytes },
        new NodeEnvironment(disk, _scheduler, _engines, Seed: 5));
}
