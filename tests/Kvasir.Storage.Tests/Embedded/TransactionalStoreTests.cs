using System.Text;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.BTree.Trees;
using Kvasir.Storage.Embedded;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Tests.Embedded;

public sealed class MappedTransactionalStoreTests() : TransactionalStoreTests(PageReads.Mapped);

public sealed class PositionalTransactionalStoreTests() : TransactionalStoreTests(PageReads.Positional);

/// <summary>Transactions and buckets for programs that embed a store, on this machine's disk.</summary>
public abstract class TransactionalStoreTests(PageReads reads) : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-test-").FullName;

    private string StorePath => Path.Combine(_folder, "store");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private TransactionalStore Open(string? path = null, TransactionalStoreOptions? options = null) =>
        TransactionalStore.Open(path ?? StorePath, (options ?? new TransactionalStoreOptions()) with { Reads = reads });

    [Fact]
    public void WhatWasCommittedIsThereAfterTheNextOpen()
    {
        using (TransactionalStore store = Open())
        {
            store.Update(t => t.Root.GetOrCreateBucket("users"u8).GetOrCreateBucket("by-name"u8).Put("ada"u8, "1"u8));
            Assert.Throws<FormatException>(() => store.Update(t =>
            {
                t.Root.DeleteBucket("users"u8);
                throw new FormatException();
            }));
            using WriteTransaction abandoned = store.BeginWrite();
            abandoned.Root.Put("never"u8, "seen"u8);
        }

        using TransactionalStore again = Open();
        Assert.Equal("1", again.View(t => Encoding.UTF8.GetString(t.Root.FindBucket("users"u8)!.FindBucket("by-name"u8)!.Get("ada"u8)!)));
        Assert.False(again.View(t => t.Root.Contains("never"u8)));
        Assert.Null(again.StopReason);
        Assert.Equal(StorePath, again.Path);
    }

    [Fact]
    public void OneKeyCostsNoAllocation()
    {
        using TransactionalStore store = Open();
        byte[] value = new byte[100];
        store.Update(t =>
        {
            for (int i = 0; i < 1000; i++)
                t.Root.Put(Encoding.UTF8.GetBytes($"{i:D4}"), value);
            t.Root.Put("expires"u8, value, TimeSpan.FromHours(1));
        });
        using (ReadTransaction reader = store.BeginRead())
        {
            BTreeCursor cursor = reader.Root.OpenCursor();
            Assert.Equal(0, Allocations.Least(() => reader.Root.TryGet("0500"u8, out _)));
            Assert.Equal(0, Allocations.Least(() => reader.Root.Contains("0500"u8)));
            Assert.Equal(0, Allocations.Least(() => reader.Root.Contains("0500")));
            Assert.Equal(0, Allocations.Least(() => reader.Root.ExpiresAt("expires"u8)));
            Assert.Equal(0, Allocations.Least(() => cursor.Seek("0500"u8)));
            Assert.Equal(0, Allocations.Least(() => cursor.SeekForPrevious("0500"u8)));
        }

        using WriteTransaction writer = store.BeginWrite();
        Assert.Equal(0, Allocations.Least(() => writer.Root.TryGet("0500"u8, out _)));
        Assert.Equal(0, Allocations.Least(() => writer.Root.Put("0500"u8, value)));
        Assert.Equal(0, Allocations.Least(() => writer.Root.Put("0500", "text")));
        Assert.Equal(0, Allocations.Least(() =>
        {
            writer.Root.Put("05001"u8, value);
            writer.Root.Delete("05001"u8);
        }));
    }

    [Fact]
    public void TextIsUtf8AsInOtherStores()
    {
        using TransactionalStore store = Open();
        store.Update(t =>
        {
            WritableBucket users = t.Root.GetOrCreateBucket("users");
            Assert.Same(users, t.Root.FindBucket("users"u8));
            Assert.Same(users, t.Root.FindBucket("users"));
            users.Put("naïve", "café");
            users.Put("guest", "yes", TimeSpan.FromHours(1));
            users.Put("kept", "", TimeSpan.FromHours(1));
            Assert.True(users.SetTimeToLive("kept", null));
            Assert.False(users.SetTimeToLive("nobody", null));
            users.Put("gone", "soon");
            Assert.True(users.Delete("gone"));
            Assert.False(users.Delete("gone"));
            t.Root.GetOrCreateBucket("none");
            Assert.True(t.Root.DeleteBucket("none"));
            Assert.False(t.Root.DeleteBucket("none"));
        });
        using ReadTransaction reader = store.BeginRead();
        Assert.Null(reader.Root.FindBucket("none"));
        Bucket read = reader.Root.FindBucket("users")!;
        Assert.Equal("café"u8, read.Get("naïve"u8)!);
        Assert.Equal("café", read.GetString("naïve"));
        Assert.Equal("", read.GetString("kept"));
        Assert.Null(read.GetString("gone"));
        Assert.True(read.Contains("naïve"));
        Assert.False(read.Contains("gone"));
        Assert.NotNull(read.ExpiresAt("guest"));
        Assert.Null(read.ExpiresAt("kept"));
        Assert.Throws<ArgumentNullException>("key", () => read.GetString(null!));
        reader.Dispose();
        Assert.Throws<ObjectDisposedException>(() => read.GetString("naïve"));
    }

    [Fact]
    public void TheGreatestTimeToLiveIsAsGoodAsNever()
    {
        using TransactionalStore store = Open();
        store.Update(t => t.Root.Put("k"u8, "v"u8, TimeSpan.MaxValue));
        Assert.Equal(DateTimeOffset.MaxValue.ToUnixTimeMilliseconds(), store.View(t => t.Root.ExpiresAt("k"u8))!.Value.ToUnixTimeMilliseconds());
        using TransactionalStore other = Open(StorePath + "-other", new TransactionalStoreOptions { ReaderAgeLimit = TimeSpan.MaxValue, ReaderAgeWarning = TimeSpan.MaxValue });
        using ReadTransaction reader = other.BeginRead();
        other.Update(t => t.Root.Put("k"u8, "v"u8));
        Assert.False(reader.Root.Contains("k"u8));
    }

    [Fact]
    public void MisuseIsSaidClearly()
    {
        Assert.Contains("is a folder", Assert.Throws<StorageException>(() => Open(_folder)).Message, StringComparison.Ordinal);
        Assert.Contains("make it first", Assert.Throws<StorageException>(() => Open(Path.Combine(_folder, "none", "store"))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => Open(options: new TransactionalStoreOptions { PageBytes = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Open(options: new TransactionalStoreOptions { ReaderAgeLimit = TimeSpan.FromSeconds(-1) }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Open(options: new TransactionalStoreOptions { ReaderAgeWarning = TimeSpan.MinValue }));
        TransactionalStore store = Open();
        Assert.Equal(0, store.GetStatistics().Readers);
        store.Dispose();
        Assert.Throws<ObjectDisposedException>(store.GetStatistics);
    }

    [Fact]
    public void AWriteInsideAWriteOfTheSameThreadIsRefusedAndDoesNotWaitForItself()
    {
        using TransactionalStore store = Open();
        Action<Action<WriteTransaction>>[] ways = [store.Update, store.Batch];
        foreach (Action<Action<WriteTransaction>> outer in ways)
        {
            foreach (Action<Action<WriteTransaction>> inner in ways)
                Assert.Throws<InvalidOperationException>(() => outer(_ => inner(static t => t.Root.Put("a"u8, "inner"u8))));
            Assert.Throws<InvalidOperationException>(() => outer(_ => store.BeginWrite().Dispose()));
            Assert.Throws<InvalidOperationException>(() => outer(static t => t.Commit()));
            Assert.Throws<InvalidOperationException>(() => outer(static t => t.Dispose()));
            outer(static t => t.Root.Put("a"u8, "outer"u8));
        }

        Assert.Equal("outer"u8, store.View(static t => t.Root.Get("a"u8)!));
        store.CopyTo(StorePath + "-copy");
        Assert.Throws<ArgumentException>(() => store.CopyTo(StorePath + "-copy"));
    }

    [Fact]
    public void AReaderSeesItsCommitAndCursorsGoBothWays()
    {
        using TransactionalStore store = Open();
        store.Update(t =>
        {
            for (int i = 0; i < 1000; i++)
                t.Root.Put(Encoding.UTF8.GetBytes($"{i:D4}"), new byte[i]);
        });
        using ReadTransaction reader = store.BeginRead();
        store.Update(t => t.Root.DeleteRange("0100"u8, "0900"u8));
        BTreeCursor cursor = reader.Root.OpenCursor();
        int seen = 0;
        for (bool found = cursor.SeekFirst(); found; found = cursor.Next())
            Assert.Equal(seen++, cursor.Value.Length);
        Assert.Equal(1000, seen);
        for (bool found = cursor.SeekForPrevious("0500x"u8); found; found = cursor.Previous())
            seen--;
        Assert.Equal(499, seen);
        Assert.Equal(200, store.View(t =>
        {
            int count = 0;
            BTreeCursor all = t.Root.OpenCursor();
            for (bool found = all.SeekFirst(); found; found = all.Next())
                count++;
            return count;
        }));
        reader.EnsureReadable();
    }

    [Fact]
    public void UseAfterTheEndIsSaidClearly()
    {
        Assert.Throws<ArgumentException>(() => Open(""));
        Assert.Throws<ArgumentOutOfRangeException>(() => Open(options: new TransactionalStoreOptions { CacheBytes = 1 }));
        TransactionalStore store = Open();
        Assert.Throws<FolderInUseException>(() => Open());
        WriteTransaction writer = store.BeginWrite();
        WritableBucket written = writer.Root.GetOrCreateBucket("b"u8);
        written.Put("k"u8, "v"u8);
        writer.Commit();
        Assert.Contains("over", Assert.Throws<ObjectDisposedException>(() => written.Put("k"u8, "v"u8)).Message, StringComparison.Ordinal);
        Assert.Throws<ObjectDisposedException>(writer.Commit);

        ReadTransaction reader = store.BeginRead();
        Bucket bucket = reader.Root.FindBucket("b"u8)!;
        BTreeCursor cursor = bucket.OpenCursor();
        Assert.True(cursor.SeekFirst());
        reader.Dispose();
        reader.Dispose();
        Assert.Throws<ObjectDisposedException>(() => bucket.Get("k"u8));
        Assert.Throws<ObjectDisposedException>(() => cursor.Next());
        Assert.Throws<ObjectDisposedException>(() => cursor.Key.Length);
        Assert.Throws<ObjectDisposedException>(() => reader.Root.OpenCursor());

        ReadTransaction open = store.BeginRead();
        store.Dispose();
        store.Dispose();
        Assert.Contains("closed", Assert.Throws<ObjectDisposedException>(() => open.Root.Get("k"u8)).Message, StringComparison.Ordinal);
        open.Dispose();
        Assert.Throws<ObjectDisposedException>(store.BeginRead);
        Assert.Throws<ObjectDisposedException>(store.BeginWrite);
        Assert.Throws<ObjectDisposedException>(() => store.Batch(t => t.Root.Delete("k"u8)));
        Open().Dispose();
    }

    [Fact]
    public async Task ATransactionIsOverForWhatItsCallbackLeavesRunning()
    {
        using TransactionalStore store = Open();
        store.Update(t => t.Root.Put("k", "v"));
        var returned = new TaskCompletionSource();
        Task<string?> late = store.View(async t =>
        {
            Assert.True(t.Root.Contains("k"));
            await returned.Task;
            return t.Root.GetString("k");
        });
        returned.SetResult();
        Assert.Contains("over", (await Assert.ThrowsAsync<ObjectDisposedException>(() => late)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ManyThreadsCommitTogether()
    {
        using (TransactionalStore store = Open())
        {
            Thread[] threads = [.. Enumerable.Range(0, 8).Select(t => new Thread(() =>
            {
                for (int i = 0; i < 50; i++)
                    store.Batch(transaction => transaction.Root.GetOrCreateBucket([(byte)t]).Put([(byte)i], [(byte)(i + 1)]));
            }))];
            foreach (Thread thread in threads)
                thread.Start();
            foreach (Thread thread in threads)
                thread.Join();
        }

        using TransactionalStore again = Open();
        for (byte t = 0; t < 8; t++)
        {
            for (byte i = 0; i < 50; i++)
                Assert.Equal([(byte)(i + 1)], again.View(r => r.Root.FindBucket([t])!.Get([i])!));
        }
    }

    [Fact]
    public async Task ThreadsAndTasksCommitTogether()
    {
        const int Each = 40;
        ulong commits;
        using (TransactionalStore store = Open())
        {
            Task[] tasks = [.. Enumerable.Range(0, 16).Select(id => Task.Run(async () =>
            {
                using var source = new CancellationTokenSource();
                for (int i = 0; i < Each; i++)
                {
                    byte[] key = [(byte)id, (byte)i];
                    if (i == 20)
                        await Assert.ThrowsAsync<FormatException>(async () => await store.BatchAsync(t => throw new FormatException(t.Root.Contains(key).ToString())));
                    await store.BatchAsync(t => t.Root.Put(key, key), source.Token);
                    Assert.Equal(key, store.View(t => t.Root.Get(key)));
                }

                // Cancelled in the midst of others' commits: what is told is what is there.
                byte[] last = [(byte)id, Each];
                Task cancelled = store.BatchAsync(t => t.Root.Put(last, last), source.Token).AsTask();
                await source.CancelAsync();
                await cancelled.ContinueWith(_ => { }, TaskScheduler.Default);
                Assert.Equal(cancelled.IsCompletedSuccessfully, store.View(t => t.Root.Contains(last)));
                await store.BatchAsync(t => t.Root.Delete(last));
            }))];
            Thread[] threads = [.. Enumerable.Range(16, 8).Select(id => new Thread(() =>
            {
                for (int i = 0; i < Each; i++)
                    store.Batch(t => t.Root.Put([(byte)id, (byte)i], [1]));
            }))];
            foreach (Thread thread in threads)
                thread.Start();
            await Task.WhenAll(tasks);
            foreach (Thread thread in threads)
                thread.Join();
            commits = store.GetStatistics().Transaction;
        }

        using TransactionalStore again = Open();
        Assert.Empty(again.Check());
        Assert.True(commits < 24 * Each, $"{commits} commits");
        for (byte id = 0; id < 24; id++)
        {
            for (byte i = 0; i < Each; i++)
                Assert.True(again.View(t => t.Root.Contains([id, i])));
        }
    }

    [Fact]
    public async Task NobodyGoesOnOnTheThreadThatCommits()
    {
        using TransactionalStore store = Open();
        using var begun = new ManualResetEventSlim();
        using var goOn = new ManualResetEventSlim();
        using var over = new ManualResetEventSlim();
        Thread? committing = null;
        Thread? continuing = null;
        ValueTask first = store.BatchAsync(_ =>
        {
            committing = Thread.CurrentThread;
            begun.Set();
            goOn.Wait();
        });
        begun.Wait();
        first.GetAwaiter().OnCompleted(() =>
        {
            continuing = Thread.CurrentThread;
            over.Set();
        });
        goOn.Set();
        over.Wait();
        Assert.NotSame(committing, continuing);
        await first;
    }

    [Fact]
    public async Task TasksThatWaitForAWriterAreToldWhenTheStoreIsDisposedOf()
    {
        TransactionalStore store = Open();
        WriteTransaction writer = store.BeginWrite();
        Task[] tasks = [.. Enumerable.Range(0, 20).Select(i => store.BatchAsync(t => t.Root.Put([(byte)i], [])).AsTask())];
        store.Dispose();
        foreach (Task task in tasks)
            await Assert.ThrowsAsync<ObjectDisposedException>(() => task);
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await store.BatchAsync(_ => { }));
        writer.Dispose();
        using TransactionalStore again = Open();
        Assert.False(again.View(t => t.Root.Contains([0])));
    }

    [Fact]
    public void LongReadersAreListedToldOfAndEnded()
    {
        var clock = new ManualClock();
        List<BTreeReader> told = [];
        using TransactionalStore store = Open(options: new TransactionalStoreOptions
        {
            Time = clock, ReaderAgeWarning = TimeSpan.FromSeconds(10), ReaderIsOld = told.Add, ReaderAgeLimit = TimeSpan.FromMinutes(1),
        });
        store.Update(t => t.Root.Put("a"u8, "1"u8));
        using ReadTransaction reader = store.BeginRead();
        clock.Ticks += TimeSpan.FromSeconds(11).Ticks;
        using ReadTransaction younger = store.BeginRead();
        Assert.Equal([TimeSpan.FromSeconds(11), TimeSpan.Zero], store.ListReaders().Select(r => r.Age).OrderDescending());
        Assert.Empty(told);
        store.Update(t => t.Root.Put("a"u8, "2"u8));
        store.Update(t => t.Root.Put("a"u8, "3"u8));
        Assert.Equal(TimeSpan.FromSeconds(11), Assert.Single(told).Age);
        Assert.Equal(reader.Number, told[0].Transaction);
        Assert.Equal("1"u8.ToArray(), reader.Root.Get("a"u8));

        clock.Ticks += TimeSpan.FromSeconds(55).Ticks;
        store.Update(t => t.Root.Put("a"u8, "4"u8));
        Assert.Throws<ReaderTooOldException>(() => reader.Root.Get("a"u8));
        Assert.Throws<ReaderTooOldException>(reader.EnsureReadable);
        Assert.Equal("1"u8.ToArray(), younger.Root.Get("a"u8));
        Assert.Equal(2, told.Count);
        Assert.Single(store.ListReaders(), r => r.HasEnded);

        // What a span shows when its reader was ended may be another commit's.
        Assert.Throws<ReaderTooOldException>(() => store.View(t =>
        {
            Assert.True(t.Root.TryGet("a"u8, out ReadOnlySpan<byte> value));
            clock.Ticks += TimeSpan.FromHours(1).Ticks;
            store.Update(static w => w.Root.Put("a"u8, "5"u8));
            return value.ToArray();
        }));
    }

    [Fact]
    public void ABucketIsDeletedAtOnceAndItsSpaceGoesWithAShrink()
    {
        using TransactionalStore store = Open(options: new TransactionalStoreOptions { BackgroundUpkeep = false });
        store.Update(t =>
        {
            WritableBucket bucket = t.Root.GetOrCreateBucket("big"u8);
            for (int i = 0; i < 20_000; i++)
                bucket.Put(Encoding.UTF8.GetBytes($"{i:D8}"), new byte[100]);
            t.Root.GetOrCreateBucket("small"u8).Put("k"u8, "v"u8);
        });
        long full = new FileInfo(StorePath).Length;
        BTreeStatistics before = store.GetStatistics();
        Assert.Equal(full, before.Pages * before.PageBytes);

        // Two pages for the root, a bitmap, and the list of what is to be freed.
        store.Update(t => Assert.True(t.Root.DeleteBucket("big"u8)));
        Assert.InRange(store.GetStatistics().Pages - before.Pages, 0, 4);
        Assert.True(store.GetStatistics().HasDeletedTrees);

        var cancelled = new CancellationToken(canceled: true);
        Assert.ThrowsAny<OperationCanceledException>(() => store.Shrink(cancelled));
        Assert.ThrowsAny<OperationCanceledException>(() => store.Check(cancelled));
        Assert.ThrowsAny<OperationCanceledException>(() => store.CopyTo(StorePath + "2", cancelled));
        Assert.Equal(["store", "store.lock"], Directory.GetFiles(_folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        store.Shrink();
        Assert.InRange(new FileInfo(StorePath).Length, 0, full / 20);
        Assert.Equal("v"u8.ToArray(), store.View(t => t.Root.FindBucket("small"u8)!.Get("k"u8)));
        Assert.Empty(store.Check());
    }

    [Fact]
    public void ACopyOpensAndDamageIsFound()
    {
        string copy = Path.Combine(_folder, "copy");
        using TransactionalStore store = Open();
        store.Update(t =>
        {
            for (int i = 0; i < 1000; i++)
                t.Root.Put(Encoding.UTF8.GetBytes($"{i:D4}"), new byte[100]);
            t.Root.Put("long"u8, new byte[100_000]);
        });
        store.CopyTo(copy);
        Assert.Throws<ArgumentException>(() => store.CopyTo(copy));
        Assert.Throws<ArgumentNullException>("path", () => store.CopyTo(null!));
        Assert.Throws<ArgumentException>("path", () => TransactionalStore.CheckFile(""));
        store.Update(t => t.Root.Put("later"u8, "x"u8));
        Assert.Empty(store.Check());
        using (TransactionalStore opened = Open(copy))
        {
            Assert.Empty(opened.Check());
            Assert.False(opened.View(t => t.Root.Contains("later"u8)));
            Assert.Equal(100_000, opened.View(t => t.Root.Get("long"u8)!.Length));
        }

        Assert.Empty(TransactionalStore.CheckFile(copy));
        byte[] bytes = File.ReadAllBytes(copy);
        bytes[(4096 * 6) + 2000] ^= 1;
        File.WriteAllBytes(copy, bytes);
        Assert.Equal(copy, TransactionalStore.CheckFile(copy)[0].Path);
        using TransactionalStore damaged = Open(copy);
        Assert.NotEmpty(damaged.Check());
    }

    [Fact]
    public void ATimerSweepsWhatExpiresWhileNobodyWrites()
    {
        var clock = new ManualClock();
        using TransactionalStore store = Open(options: new TransactionalStoreOptions { Time = clock });
        store.Update(t => t.Root.Put("goes"u8, "soon"u8, TimeSpan.FromSeconds(90)));
        ulong commit = store.GetStatistics().Transaction;
        clock.Advance(TimeSpan.FromSeconds(89));
        Assert.True(store.View(t => t.Root.Contains("goes"u8)));
        clock.Advance(TimeSpan.FromSeconds(1));
        Assert.False(store.View(t => t.Root.Contains("goes"u8)));
        SpinWait.SpinUntil(() => store.GetStatistics().Transaction > commit);
        Assert.True(store.View(t => t.Root.IsEmpty));
    }

    private sealed class ManualClock : TimeProvider
    {
        private Timer? _timer;

        public long Ticks { get; set; }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => Ticks;

        public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch.AddYears(50).AddTicks(Ticks);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            _timer = new Timer(this, () => callback(state));

        public void Advance(TimeSpan time)
        {
            long until = Ticks + time.Ticks;
            while (_timer is { } timer && timer.At <= until)
            {
                Ticks = timer.At;
                timer.At = long.MaxValue;
                timer.Run();
            }

            Ticks = until;
        }

        private sealed class Timer(ManualClock clock, Action run) : ITimer
        {
            public long At { get; set; } = long.MaxValue;

            public void Run() => run();

            public bool Change(TimeSpan dueTime, TimeSpan period)
            {
                At = dueTime == Timeout.InfiniteTimeSpan ? long.MaxValue : clock.Ticks + dueTime.Ticks;
                return true;
            }

            public void Dispose() { }

            public ValueTask DisposeAsync() => ValueTask.CompletedTask;
        }
    }
}
