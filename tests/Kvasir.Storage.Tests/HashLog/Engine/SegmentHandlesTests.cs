using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.HashLog.Manifest;
using Kvasir.Storage.HashLog.Segments;

namespace Kvasir.Storage.Tests.HashLog.Engine;

/// <summary>However many segments there are, few of their files are open.</summary>
public sealed class SegmentHandlesTests
{
    private const int Keys = 400;

    [Fact]
    public void NoMoreFilesAreOpenThanAnEngineMayHave()
    {
        using LogWorld world = Filled(openFilesMax: 2, out int segments);
        Assert.True(segments > 8, $"{segments} segments");
        for (int round = 0; round < 2; round++)
        {
            for (int i = 0; i < Keys; i += 7)
            {
                Assert.Equal("value " + i, world.Get(LogWorld.Key(i)));
                Assert.InRange(world.Engine.OpenSegments, 1, 2);
            }

            Assert.Equal(Keys, world.All().Count);
            world.Reopen();
            Assert.InRange(world.Engine.OpenSegments, 1, 2);
        }

        for (int i = 0; i < Keys; i += 2)
            world.Delete(LogWorld.Key(i));
        world.Flush();
        world.Engine.Compact();
        Assert.Equal(Keys / 2, world.All().Count);
        Assert.InRange(world.Engine.OpenSegments, 1, 2);
    }

    [Fact]
    public void WhatIsReadOftenStaysOpen()
    {
        using LogWorld world = Filled(openFilesMax: 1000, out int segments);
        Assert.Equal(segments, world.Engine.OpenSegments);
        int opened = 0;
        world.Disk.BeforeOperation = operation => opened += operation.Kind == DiskOperationKind.Open ? 1 : 0;
        Assert.Equal(Keys, world.All().Count);
        Assert.Equal(0, opened);
    }

    [Fact]
    public void ASegmentThatCannotBeOpenedAgainFailsTheReadAndNoMore()
    {
        using LogWorld world = Filled(openFilesMax: 1, out _);
        world.Disk.Faults.Add(new FaultRule(DiskFault.Failed, DiskOperationKind.Open) { Times = 1 });
        Assert.Contains(Enumerable.Range(0, Keys), i => Record.Exception(() => world.Get(LogWorld.Key(i))) is DiskFailedException);
        world.Disk.Faults.Clear();
        Assert.Equal(Keys, world.All().Count);
    }

    [Fact]
    public void WhoReadsASegmentKeepsItsFile()
    {
        using LogWorld world = Filled(openFilesMax: 1, out _);
        LogState state = ManifestStore.Load(world.Disk, world.Folder);
        var handles = new SegmentHandles(world.Disk, openMax: 1);
        SegmentFile[] segments = [.. state.Segments.Take(2).Select(f => SegmentFile.Open(world.Disk, handles, world.Folder, state.Identity, f))];
        SegmentHandle held = handles.Open(segments[0]);
        Assert.Equal(1, segments[1].Read(new byte[1], 0));
        Assert.Null(segments[0].Handle);
        Assert.Equal(1, held.File.Read(new byte[1], 0));
        held.Release();
        Assert.Throws<ObjectDisposedException>(() => held.File.Read(new byte[1], 0));
        foreach (SegmentFile segment in segments)
            segment.Dispose();
        Assert.Equal(0, handles.OpenCount);
        Assert.Throws<ObjectDisposedException>(() => segments[0].Read(new byte[1], 0));
    }

    private static LogWorld Filled(int openFilesMax, out int segments)
    {
        var world = new LogWorld(HashLogOptions.Tiny with { SegmentBytes = 1 << 10, SmallSegmentsMax = 1000, TailBytes = 0, OpenFilesMax = openFilesMax });
        for (int i = 0; i < Keys; i++)
        {
            world.Put(LogWorld.Key(i), "value " + i);
            if (i % 100 == 99)
                world.Flush();
        }

        world.Reopen();
        segments = world.Disk.Paths.Count(static p => p.EndsWith(".log", StringComparison.Ordinal));
        return world;
    }
}
