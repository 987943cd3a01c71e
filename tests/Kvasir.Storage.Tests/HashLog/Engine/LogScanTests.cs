using System.Text;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog;

namespace Kvasir.Storage.Tests.HashLog.Engine;

/// <summary>Scans of what lies on the disk read neighbours together, and see no less for it.</summary>
public sealed class LogScanTests
{
    private const int Keys = 4000;

    private static readonly HashLogOptions s_options = HashLogOptions.Tiny with
    {
        FlushBytes = 64 << 10, SegmentBytes = 128 << 10, MergeBytesMax = 1 << 20, IndexBytes = 64 << 20, TailBytes = 0,
    };

    private long _reads;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AScanOfTheDiskReadsManyKeysAtOnce(bool keysOnly)
    {
        using LogWorld world = Filled();
        CountReads(world);
        using EngineScan scan = world.Engine.CreateScan(new IteratorOptions { KeysOnly = keysOnly });
        int seen = 0;
        for (scan.SeekToFirst(); scan.Valid; scan.Next())
            seen++;
        Assert.Equal(Keys, seen);
        Assert.InRange(_reads, 1, Keys / 20);
    }

    [Fact]
    public void AScanThatIsAskedForFewKeysReadsLittle()
    {
        using LogWorld world = Filled();
        CountReads(world);
        using EngineScan scan = world.Engine.CreateScan(new IteratorOptions());
        int left = 10;
        for (scan.SeekToFirst(); scan.Valid && left > 0; scan.Next())
            left--;
        Assert.Equal(0, left);
        Assert.InRange(_reads, 1, 20);
    }

    [Fact]
    public void WhatIsMergedAwayUnderAScanIsReadWhereItIs()
    {
        using LogWorld world = Filled();
        Dictionary<string, string> expected = world.All().ToDictionary(e => e.Key, e => e.Value);
        using EngineScan scan = world.Engine.CreateScan(new IteratorOptions());
        int seen = 0;
        for (scan.SeekToFirst(); scan.Valid; scan.Next())
        {
            Assert.Equal(expected[Encoding.UTF8.GetString(scan.Key)], Encoding.UTF8.GetString(scan.Value));
            if (seen++ % 500 != 0)
                continue;

            // Half of what the scan has still to see is written over, and its segments are merged and deleted.
            for (int i = seen % 2; i < Keys; i += 2)
                world.Put(LogWorld.Key(i), "newer " + seen);
            world.Flush();
            world.Engine.Compact();
            world.Scheduler.RunAll();
        }

        Assert.Equal(Keys, seen);
    }

    [Fact]
    public void AReadAheadThatFailsIsToldOnlyOfWhatTheScanComesTo()
    {
        using LogWorld world = Filled();

        // The first keys are read one by one.
        world.Disk.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Read) { Skip = 16, Times = 1 });
        Assert.Equal(Keys, world.All().Count);
        Assert.Equal(0, world.Disk.Faults[0].Times);
    }

    private void CountReads(LogWorld world) => world.Disk.BeforeOperation = operation => _reads += operation.Kind == DiskOperationKind.Read ? 1 : 0;

    private static LogWorld Filled()
    {
        var world = new LogWorld(s_options);
        for (int i = 0; i < Keys; i++)
        {
            world.Put(LogWorld.Key(i), "a value of some bytes that is number " + i);
            if (i % 1000 == 999)
                world.Flush();
        }

        // So that nothing of it is in memory.
        world.Reopen();
        return world;
    }
}
