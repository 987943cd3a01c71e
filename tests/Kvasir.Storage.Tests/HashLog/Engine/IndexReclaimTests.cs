using Kvasir.Simulation.Disks;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog;

namespace Kvasir.Storage.Tests.HashLog.Engine;

/// <summary>A hash log that has no room for another key has some again when keys are deleted, though nothing else is written.</summary>
public sealed class IndexReclaimTests : IDisposable
{
    // Nothing is flushed for its size, and nothing leaves memory.
    private readonly LogWorld _world = new(HashLogOptions.Tiny with
    {
        IndexBytes = 300_000, TailBytes = long.MaxValue, FlushBytes = 64 << 20, SegmentBytes = 64 << 10, TailChunkBytes = 64 << 10, MergeStepBytes = 64 << 10,
    });

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void HalfOfTheKeysDeletedGiveRoomForNewOnes(bool flushed)
    {
        int keys = Fill();
        if (flushed)
            _world.Flush();
        for (int i = 0; i < keys; i += 2)
            _world.Delete(LogWorld.Key(i));
        _world.Scheduler.RunAll();
        Assert.InRange(_world.Engine.KeysLeft, keys / 5, keys);
        for (int i = 0; i < keys / 5; i++)
            _world.Put("new" + i, "value");
        CheckAll(keys, isLeft: static i => i % 2 == 1, added: keys / 5);
        _world.Flush();
        _world.Reopen();
        CheckAll(keys, isLeft: static i => i % 2 == 1, added: keys / 5);
    }

    [Fact]
    public void WhatIsWrittenAfterAnEighthWasDeletedKeepsNoRoomFromIt()
    {
        int keys = Fill();
        int eighth = (keys / 8) + 1;
        for (int i = 0; i < eighth; i++)
            _world.Delete(LogWorld.Key(i));

        // Behind what the flush takes, and beside it in memory.
        _world.Delete(LogWorld.Key(eighth), isStable: false);
        _world.Scheduler.RunAll();
        int next = keys;
        Assert.InRange(FillFrom(ref next), eighth / 2, eighth * 4 / 3);
        Assert.Equal(next - eighth - 1, _world.All().Count);
    }

    [Fact]
    public void WhatIsDeletedBesideAFlushIsAskedToBecomeStable()
    {
        using var world = new LogWorld(_world.Options with { FlushBytes = 8 << 10 });
        int keys = FillFrom(world, 0);
        bool wanted = false;
        world.OnStabilityWanted = () => wanted = true;

        // The flush that is due has all that it wants, and has not begun.
        for (int i = 0; i <= keys / 8; i++)
            world.Delete(LogWorld.Key(i), isStable: false);
        Assert.True(wanted);
        world.MarkStable();
        world.Scheduler.RunAll();
        Assert.InRange(FillFrom(world, keys), keys / 16, keys / 6);
    }

    [Fact]
    public void RoomComesBackAgainAndAgain()
    {
        int first = 0, next = Fill();
        for (int round = 0; round < 12; round++)
        {
            int keys = next - first;
            for (int end = first + (keys / 4); first < end; first++)
                _world.Delete(LogWorld.Key(first));
            _world.Scheduler.RunAll();
            Assert.InRange(FillFrom(ref next), keys / 10, keys);
        }

        Assert.Equal(next - first, _world.All().Count);
        _world.Flush();
        _world.Reopen();
        Assert.Equal(next - first, _world.All().Count);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void KeysDeletedAllTogetherGiveAllTheirRoom(bool flushed)
    {
        int keys = Fill();
        if (flushed)
            _world.Flush();
        _world.Write(static b => b.DeleteRange([], []));
        _world.Scheduler.RunAll();
        Assert.InRange(_world.Engine.KeysLeft, keys * 6 / 10, keys);
        Assert.InRange(_world.Engine.IndexBytes, 0, 100_000);
        _world.Put("new", "value");
        Assert.Equal("value", Assert.Single(_world.All()).Value);
    }

    [Fact]
    public void WhatASnapshotSeesStaysUntilItGoes()
    {
        int keys = Fill();
        EngineSnapshot snapshot = _world.Engine.CreateSnapshot();
        for (int i = 0; i < keys; i += 2)
            _world.Delete(LogWorld.Key(i));
        _world.Scheduler.RunAll();
        Assert.Equal(keys, _world.All(ReadView.At(snapshot)).Count);
        snapshot.Dispose();
        for (int i = 1; i < keys; i += 4)
            _world.Delete(LogWorld.Key(i));
        _world.Scheduler.RunAll();
        Assert.InRange(_world.Engine.KeysLeft, keys / 8, keys);
        CheckAll(keys, isLeft: static i => i % 4 == 3, added: 0);
    }

    [Fact]
    public void AStartWithAFullIndexFindsTheRoomOfWhatWasDeletedBefore()
    {
        int keys = Fill();
        _world.Flush();
        EngineSnapshot snapshot = _world.Engine.CreateSnapshot();
        for (int i = 0; i < keys; i += 2)
            _world.Delete(LogWorld.Key(i));
        _world.Flush();
        snapshot.Dispose();
        _world.Reopen();
        _world.Scheduler.RunAll();
        Assert.InRange(_world.Engine.KeysLeft, keys / 5, keys);
        CheckAll(keys, isLeft: static i => i % 2 == 1, added: 0);
    }

    [Fact]
    public void AFewDeletionsAreWorthNothing()
    {
        int keys = Fill();
        _world.Flush();
        int operations = 0;
        _world.Disk.BeforeOperation = _ => operations++;
        for (int i = 0; i < keys / 20; i++)
            _world.Delete(LogWorld.Key(i));
        _world.Scheduler.RunAll();
        _world.Disk.BeforeOperation = null;
        Assert.Equal(0, operations);
    }

    public void Dispose() => _world.Dispose();

    private int Fill()
    {
        int next = 0;
        return FillFrom(ref next);
    }

    private int FillFrom(ref int next)
    {
        int added = FillFrom(_world, next);
        next += added;
        return added;
    }

    private static int FillFrom(LogWorld world, int first)
    {
        int next = first;
        try
        {
            for (; ; next++)
                world.Put(LogWorld.Key(next), "value");
        }
        catch (IndexFullException)
        {
            return next - first;
        }
    }

    private void CheckAll(int keys, Func<int, bool> isLeft, int added)
    {
        string[] expected = [.. Enumerable.Range(0, keys).Where(isLeft).Select(LogWorld.Key), .. Enumerable.Range(0, added).Select(static i => "new" + i)];
        Assert.Equal(expected.Order(StringComparer.Ordinal), _world.All().Keys);
    }
}
