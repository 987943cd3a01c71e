using System.Buffers;
using Kvasir.Storage.Embedded;
using Kvasir.Storage.Files;
using Kvasir.Storage.Store;
using Microsoft.Extensions.Caching.Distributed;
using Microsoft.Extensions.DependencyInjection;

namespace Kvasir.Caching.Tests;

public sealed class StoreCacheTests : IDisposable
{
    private static readonly DistributedCacheEntryOptions s_forEver = new();
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-test-").FullName;
    private readonly ManualClock _clock = new();
    private readonly OrderedStore _store;
    private readonly StoreCache _cache;

    public StoreCacheTests()
    {
        _store = OrderedStore.Open(Path.Combine(_folder, "cache"), new StoreOptions { Time = _clock });
        _cache = new StoreCache(_store, time: _clock);
    }

    public void Dispose()
    {
        _store.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task WhatIsSetIsThereUntilItIsRemoved()
    {
        Assert.Null(_cache.Get("k"));
        _cache.Set("k", [1, 2, 3], s_forEver);
        Assert.Equal([1, 2, 3], _cache.Get("k"));
        await _cache.SetAsync("e", [], s_forEver);
        Assert.Empty((await _cache.GetAsync("e"))!);
        _cache.Remove("k");
        await _cache.RemoveAsync("none");
        Assert.Null(await _cache.GetAsync("k"));
    }

    [Fact]
    public async Task BuffersAreReadAndWrittenInPieces()
    {
        var pieces = new Piece([1, 2]);
        Piece last = pieces.Append([3]).Append([4, 5, 6]);
        _cache.Set("k", new ReadOnlySequence<byte>(pieces, 0, last, 3), s_forEver);
        var writer = new ArrayBufferWriter<byte>();
        Assert.True(_cache.TryGet("k", writer));
        Assert.True(await _cache.TryGetAsync("k", writer));
        Assert.False(_cache.TryGet("none", writer));
        Assert.Equal([1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6], writer.WrittenSpan.ToArray());
    }

    [Fact]
    public void AnAbsoluteDeadlineHoldsHoweverOftenItIsUsed()
    {
        _cache.Set("at", [1], new DistributedCacheEntryOptions { AbsoluteExpiration = _clock.Now.AddMinutes(10) });
        _cache.Set("in", [1], new DistributedCacheEntryOptions { AbsoluteExpirationRelativeToNow = TimeSpan.FromMinutes(10), SlidingExpiration = TimeSpan.FromMinutes(4) });
        for (int minute = 0; minute < 10; minute++)
        {
            Assert.NotNull(_cache.Get("at"));
            Assert.NotNull(_cache.Get("in"));
            _clock.Now += TimeSpan.FromMinutes(1);
        }

        Assert.Null(_cache.Get("at"));
        Assert.Null(_cache.Get("in"));
        Assert.Throws<ArgumentOutOfRangeException>(() => _cache.Set("k", [1], new DistributedCacheEntryOptions { AbsoluteExpiration = _clock.Now }));
    }

    [Theory]
    [InlineData("get")]
    [InlineData("try")]
    [InlineData("refresh")]
    public void ASlidingEntryLivesItsTimeFromEachUseAndHardlyLonger(string use)
    {
        TimeSpan sliding = TimeSpan.FromMinutes(10), step = TimeSpan.FromSeconds(7);
        _cache.Set("k", [1], new DistributedCacheEntryOptions { SlidingExpiration = sliding });
        for (TimeSpan passed = TimeSpan.Zero; passed < 3 * sliding; passed += step)
        {
            Use();
            _clock.Now += step;
        }

        Use();
        _clock.Now += sliding - TimeSpan.FromMilliseconds(1);
        Assert.True(_store.Contains("k"));
        _clock.Now += (sliding / 10) + TimeSpan.FromMilliseconds(2);
        Assert.Null(_cache.Get("k"));

        void Use()
        {
            switch (use)
            {
                case "get":
                    Assert.NotNull(_cache.Get("k"));
                    break;
                case "try":
                    Assert.True(_cache.TryGet("k", new ArrayBufferWriter<byte>()));
                    break;
                default:
                    _cache.Refresh("k");
                    break;
            }
        }
    }

    [Fact]
    public void ASlidingEntryIsNotWrittenForEveryUse()
    {
        _cache.Set("k", [1], new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.FromMinutes(10) });
        long before = _store.GetStatistics().UserBytesWritten;
        for (int i = 0; i < 50; i++)
        {
            _cache.Get("k");
            _clock.Now += TimeSpan.FromSeconds(1);
        }

        Assert.Equal(before, _store.GetStatistics().UserBytesWritten);
        _clock.Now += TimeSpan.FromSeconds(15);
        _cache.Get("k");
        Assert.NotEqual(before, _store.GetStatistics().UserBytesWritten);
    }

    [Fact]
    public void CachesWithPrefixesShareAStoreAndHaveTheirOwnDefaults()
    {
        var a = new StoreCache(_store, new StoreCacheOptions { KeyPrefix = "a:", DefaultTimeToLive = TimeSpan.FromMinutes(1) }, _clock);
        var b = new StoreCache(_store, new StoreCacheOptions { KeyPrefix = "b:" }, _clock);
        a.Set("k", [1], s_forEver);
        b.Set("k", [2], s_forEver);
        Assert.Equal([1], a.Get("k"));
        Assert.Equal([2], b.Get("k"));
        _clock.Now += TimeSpan.FromMinutes(2);
        Assert.Null(a.Get("k"));
        Assert.NotNull(b.Get("k"));
    }

    [Fact]
    public void WhatIsNoEntryIsNotServed()
    {
        _store.Put("k", "somebody else's");
        _store.Put("s", "");
        Assert.Null(_cache.Get("k"));
        Assert.Null(_cache.Get("s"));
    }

    [Fact]
    public void AsAServiceItIsThereAgainWhenTheProgramIs()
    {
        string folder = Path.Combine(_folder, "service");
        for (byte run = 0; run < 2; run++)
        {
            using ServiceProvider services = new ServiceCollection().AddKvasirCache(folder).BuildServiceProvider();
            IDistributedCache cache = services.GetRequiredService<IDistributedCache>();
            Assert.Same(cache, services.GetRequiredService<IBufferDistributedCache>());
            Assert.Equal(run == 0 ? null : [0], cache.Get("k"));
            cache.Set("k", [run], s_forEver);
        }
    }

    [Fact]
    public void WhatIsThereIsServedThoughItsRenewalCannotBeWritten()
    {
        var cache = new StoreCache(_store, new StoreCacheOptions { Durability = WriteDurability.Sync });
        cache.Set("k", [1], new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.FromMinutes(10) });

        // The next segment of the journal has no place.
        Directory.Delete(Path.Combine(_folder, "cache", "journal"), recursive: true);
        byte[] much = new byte[64 << 10];
        Assert.Throws<WritesStoppedException>(() =>
        {
            for (int i = 0; i < 1000; i++)
                _store.Put("much"u8, much);
        });
        _clock.Now += TimeSpan.FromMinutes(5);
        Assert.Equal([1], cache.Get("k"));
        Assert.True(cache.TryGet("k", new ArrayBufferWriter<byte>()));
        Assert.Throws<WritesStoppedException>(() => cache.Refresh("k"));
        _clock.Now += TimeSpan.FromMinutes(6);
        Assert.Null(cache.Get("k"));
    }

    /// <summary>As of other caches that are added.</summary>
    [Fact]
    public void OfSeveralThatAreAddedTheLastOneCounts()
    {
        string first = Path.Combine(_folder, "first"), last = Path.Combine(_folder, "last");
        using ServiceProvider services = new ServiceCollection().AddKvasirCache(first).AddKvasirCache(last).BuildServiceProvider();
        services.GetRequiredService<IDistributedCache>().Set("k", [1], s_forEver);
        Assert.Equal([1], services.GetRequiredService<IBufferDistributedCache>().Get("k"));
        Assert.Equal((false, true), (Directory.Exists(first), Directory.Exists(last)));
    }

    [Fact]
    public void TheClockIsThatOfTheStore()
    {
        // By no other clock anything would be near its end.
        _clock.Now = _clock.Now.AddYears(500);
        var cache = new StoreCache(_store, new StoreCacheOptions { DefaultTimeToLive = TimeSpan.FromMinutes(1) });
        cache.Set("k", [1], s_forEver);
        cache.Set("s", [1], new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.FromMinutes(10) });
        Assert.NotNull(cache.Get("k"));
        _clock.Now += TimeSpan.FromMinutes(9);
        Assert.Null(cache.Get("k"));
        Assert.NotNull(cache.Get("s"));
        _clock.Now += TimeSpan.FromMinutes(9);
        Assert.NotNull(cache.Get("s"));
    }

    [Fact]
    public void TheGreatestTimesMeanForEver()
    {
        DistributedCacheEntryOptions[] all =
        [
            new() { SlidingExpiration = TimeSpan.MaxValue },
            new() { AbsoluteExpiration = DateTimeOffset.MaxValue },
            new() { AbsoluteExpirationRelativeToNow = TimeSpan.MaxValue },
            new() { AbsoluteExpiration = DateTimeOffset.MaxValue, SlidingExpiration = TimeSpan.MaxValue },
        ];
        var cache = new StoreCache(_store, new StoreCacheOptions { KeyPrefix = "d:", DefaultTimeToLive = TimeSpan.MaxValue });
        cache.Set("default", [1], s_forEver);
        for (int i = 0; i < all.Length; i++)
            _cache.Set($"{i}", [1], all[i]);
        long written = _store.GetStatistics().UserBytesWritten;
        _clock.Now = _clock.Now.AddYears(5000);
        for (int i = 0; i < all.Length; i++)
            Assert.NotNull(_cache.Get($"{i}"));
        Assert.NotNull(cache.Get("default"));

        // What never goes need not be written again for being used.
        Assert.Equal(written, _store.GetStatistics().UserBytesWritten);
    }

    [Fact]
    public void TimesOfLessThanAMillisecondAreTimes()
    {
        _cache.Set("sliding", [1], new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.FromTicks(1) });
        _cache.Set("absolute", [1], new DistributedCacheEntryOptions { AbsoluteExpirationRelativeToNow = TimeSpan.FromTicks(1) });
        _clock.Now += TimeSpan.FromMilliseconds(2);
        Assert.Null(_cache.Get("sliding"));
        Assert.Null(_cache.Get("absolute"));
        Assert.Throws<ArgumentOutOfRangeException>(() => _cache.Set("k", [1], new DistributedCacheEntryOptions { AbsoluteExpiration = DateTimeOffset.UnixEpoch }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new StoreCache(_store, new StoreCacheOptions { DefaultTimeToLive = TimeSpan.Zero }));
    }

    [Fact]
    public void AHitThatIsWrittenToABufferAllocatesNothing()
    {
        foreach (string key in (string[])["k", new string('k', 1000)])
        {
            _cache.Set(key, new byte[200], s_forEver);
            var writer = new ArrayBufferWriter<byte>(1 << 20);
            long least = long.MaxValue;
            for (int window = 0; window < 6; window++)
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                for (int i = 0; i < 500; i++)
                {
                    writer.ResetWrittenCount();
                    _cache.TryGet(key, writer);
                }

                least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
            }

            Assert.Equal(0, least);
            Assert.Equal(200, writer.WrittenCount);
        }
    }

    [Fact]
    public void RenewalsNeverBringBackWhatWasWrittenOver()
    {
        var options = new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.FromMinutes(10) };
        _cache.Set("k", BitConverter.GetBytes(0), options);
        var reader = new Thread(() =>
        {
            int last = 0;
            while (last < 2000)
            {
                // Minutes may have passed within the read, on this clock.
                if (_cache.Get("k") is not { } value)
                    continue;
                int seen = BitConverter.ToInt32(value);
                Assert.True(seen >= last);
                last = seen;
            }
        });
        reader.Start();
        for (int i = 1; i <= 2000; i++)
        {
            _cache.Set("k", BitConverter.GetBytes(i), options);
            _clock.Now += TimeSpan.FromMinutes(2);
        }

        reader.Join();
    }

    private sealed class ManualClock : TimeProvider
    {
        private long _ticks = new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero).UtcTicks;

        public DateTimeOffset Now
        {
            get => new(Volatile.Read(ref _ticks), TimeSpan.Zero);
            set => Volatile.Write(ref _ticks, value.UtcTicks);
        }

        public override DateTimeOffset GetUtcNow() => Now;
    }

    private sealed class Piece : ReadOnlySequenceSegment<byte>
    {
        public Piece(byte[] bytes) => Memory = bytes;

        public Piece Append(byte[] bytes)
        {
            var next = new Piece(bytes) { RunningIndex = RunningIndex + Memory.Length };
            Next = next;
            return next;
        }
    }
}
