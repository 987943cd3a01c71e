using System.Text;
using Kvasir.Primitives;
using Kvasir.Storage.HashLog;

namespace Kvasir.Storage.Tests.HashLog.Engine;

public sealed class HeldUpReadTests
{
    /// <summary>
    /// A read may lose its thread between taking its view and looking: what it saw is superseded, flushed and let go meanwhile, and what of it
    /// is in the files is older than what was published before.
    /// </summary>
    [Fact]
    public void WhatIsFoundBehindANewerVersionIsLookedForAgain()
    {
        using var world = new LogWorld(HashLogOptions.Tiny with { FlushBytes = 1 << 20, TailBytes = 0, TailChunkBytes = 4 << 10 });
        world.Put("key", "1");
        world.Flush();
        world.Put("key", "2");
        ulong held = world.Engine.LastSequence.Value;

        // The last version is in a chunk of its own, which stays in memory.
        world.Put("other", new string('o', 4000));
        world.Put("key", "3");
        world.Flush();
        byte[] key = "key"u8.ToArray();
        var value = new BytesBuffer();
        Assert.Equal(
            HashLogEngine.SearchOutcome.YesBehindNewer, world.Engine.Find(key, StableHash.Hash64(key), held, value, out _));
        Assert.Equal("1", Encoding.UTF8.GetString(value.WrittenSpan));
        Assert.Equal("3", world.Get("key"));
    }
}
