using Kvasir.Simulation.Disks;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog;

namespace Kvasir.Storage.Tests.HashLog.Engine;

/// <summary>
/// What a snapshot sees of a key is found by way of the index, also where nothing newer of it is left: its newest version was dead when it was
/// flushed, and a merge drops the one below.
/// </summary>
public sealed class OldVersionTests : IDisposable
{
    private const string Key = "key";

    private readonly LogWorld _world = new(HashLogOptions.Tiny with { TailBytes = 0 });
    private int _others;

    [Fact]
    public void AMergeDropsWhatLiesBelowARecordThatMemoryLetsGoMeanwhile()
    {
        Put("seen");
        using EngineSnapshot snapshot = _world.Engine.CreateSnapshot();
        Put("newer");
        DieInMemory();

        // When it has decided, and before the index is led to the copies.
        _world.Disk.BeforeOperation = operation =>
        {
            if (operation.Kind != DiskOperationKind.Sync)
                return;
            _world.Disk.BeforeOperation = null;
            LetGoOfMemory();
        };
        _world.Engine.Compact();
        Assert.Null(_world.Disk.BeforeOperation);
        CheckThat(snapshot);
    }

    [Fact]
    public void WhatWasNotedAsDeadIsThereAgainForASnapshot()
    {
        for (int i = 0; i < 20; i++)
            _world.Put("alive" + i, "value");
        Put("seen");
        EngineSnapshot first = _world.Engine.CreateSnapshot();
        _world.Put("between", "value");
        EngineSnapshot snapshot = _world.Engine.CreateSnapshot();
        int others = _others;
        Put("newer");
        first.Dispose();

        // Nothing else is alive in the segment of the newer one: it is merged, and no other is.
        _others = others;
        PutOthers();
        DieInMemory();
        LetGoOfMemory();
        CheckThat(snapshot);
        snapshot.Dispose();
        _world.Engine.Compact();
        _world.Engine.Compact();
        Assert.Null(_world.Get(Key));
        Assert.DoesNotContain(Key, _world.All().Keys);
        _world.Reopen();
        Assert.Null(_world.Get(Key));
    }

    public void Dispose() => _world.Dispose();

    /// <summary>Into a file, and out of memory.</summary>
    private void Put(string value)
    {
        _world.Put(Key, value);
        LetGoOfMemory();
    }

    /// <summary>No file gets what is dead when it is flushed; memory has it still.</summary>
    private void DieInMemory()
    {
        _world.Put(Key, "dead");
        _world.Write(static b => b.DeleteRange(LogWorld.Bytes(Key), LogWorld.Bytes(Key + "0")));
        _world.Flush();
    }

    private void LetGoOfMemory()
    {
        PutOthers();
        _world.Flush();
    }

    private void PutOthers()
    {
        for (int i = 0; i < 5; i++)
            _world.Put("other" + _others++, new string('x', 1000));
    }

    private void CheckThat(EngineSnapshot snapshot)
    {
        Assert.Equal("seen", _world.Get(Key, ReadView.At(snapshot)));
        Assert.Equal("seen", _world.All(ReadView.At(snapshot))[Key]);
        Assert.Null(_world.Get(Key));
        Assert.DoesNotContain(Key, _world.All().Keys);
    }
}
