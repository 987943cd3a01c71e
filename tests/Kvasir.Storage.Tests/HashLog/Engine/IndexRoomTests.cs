using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog;

namespace Kvasir.Storage.Tests.HashLog.Engine;

/// <summary>Engines that share their memory share the room for keys, too.</summary>
public sealed class IndexRoomTests
{
    private readonly MemoryBudget _memory = new(MemoryBudget.MinimumBytes);
    private readonly List<string> _warnings = [];
    private readonly WriteBatch _batch = new();

    [Fact]
    public void TheKeysOfAllEnginesTogetherStayWithinOneLimit()
    {
        var disk = new SimulatedFileSystem(new SeededRandom(1));
        var scheduler = new SimulatedScheduler(new SeededRandom(2));
        HashLogEngine[] engines = [.. Enumerable.Range(0, 5).Select(i => HashLogEngine.Open(
            "/log" + i, new EngineEnvironment(disk, scheduler, _memory) { LimitNears = _warnings.Add }, HashLogOptions.Tiny))];
        IndexFullException? refusal = null;
        ulong position = 0;
        for (int i = 0; refusal is null; i++)
        {
            foreach (HashLogEngine engine in engines)
            {
                _batch.Clear();
                for (int key = 0; key < 100; key++)
                    _batch.Put(LogWorld.Bytes($"{i}:{key}"), default);
                refusal ??= Record.Exception(() => engine.Stage(_batch.Bytes)) as IndexFullException;
                if (refusal is not null)
                    break;
                engine.Publish(new LogPosition(++position));
                engine.MarkStable(new LogPosition(position));
            }

            scheduler.RunAll();
        }

        // None of them is near its own limit.
        Assert.All(engines, e => Assert.InRange(e.GetStatistics().IndexBytes, 1, HashLogOptions.Tiny.IndexBytes / 2));
        Assert.Contains("together", refusal.Message, StringComparison.Ordinal);
        Assert.InRange(_memory.IndexBytes, _memory.IndexLimitBytes * 9 / 10, _memory.IndexLimitBytes);
        Assert.All(engines, e => Assert.InRange(e.KeysLeft, 0, 200));
        Assert.All(engines, e => Assert.InRange(e.GetStatistics().IndexPercent!.Value, 90, 100));
        Assert.Single(_warnings, w => w.Contains("together", StringComparison.Ordinal));

        // Keys that are there are taken, and another engine's end gives room.
        _batch.Clear();
        _batch.Put(LogWorld.Bytes("0:0"), [1]);
        engines[0].Stage(_batch.Bytes);
        engines[0].Publish(new LogPosition(++position));
        engines[4].Dispose();
        Assert.True(engines[0].KeysLeft > 1000);
        foreach (HashLogEngine engine in engines)
            engine.Dispose();
        Assert.Equal(0, _memory.IndexBytes);
    }
}
