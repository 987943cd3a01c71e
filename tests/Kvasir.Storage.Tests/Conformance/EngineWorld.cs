using System.Globalization;
using System.Text;
using Kvasir.Primitives;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Tests.Conformance;

/// <summary>
/// One engine on a disk of either kind, below a log that the test imagines. Work in the background runs on the test's own thread,
/// when it is waited for or asked for.
/// </summary>
internal sealed class EngineWorld : IDisposable
{
    private readonly WriteBatch _batch = new();
    private readonly List<IStorageEngine> _others = [];

    public EngineWorld(string engine, DiskKind disk, bool keepsDigest = false)
    {
        UnderTest = EngineUnderTest.Named(engine);
        Disk = new TestDisk(disk);
        Environment = new EngineEnvironment(Disk.Files, Scheduler, Memory) { KeepsDigest = keepsDigest };
        Engine = Open(Folder);
    }

    public EngineUnderTest UnderTest { get; }

    public TestDisk Disk { get; }

    public SimulatedScheduler Scheduler { get; } = new(new SeededRandom(1));

    public MemoryBudget Memory { get; } = new(MemoryBudget.MinimumBytes);

    public EngineEnvironment Environment { get; set; }

    public string Folder => Disk.Root + "/engine";

    public IStorageEngine Engine { get; private set; }

    /// <summary>Of the last write.</summary>
    public ulong Position { get; private set; }

    public long NowMs => Scheduler.Time.GetUtcNow().ToUnixTimeMilliseconds();

    public static string Key(int number) => string.Create(CultureInfo.InvariantCulture, $"key{number:D4}");

    public static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    public static byte[] BytesOf(Action<WriteBatch> fill)
    {
        var batch = new WriteBatch();
        fill(batch);
        return batch.Bytes.ToArray();
    }

    public static IEnumerable<KeyValuePair<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>> Rows(params IEnumerable<string> keys) =>
        keys.Select(key => KeyValuePair.Create<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>(Bytes(key), Bytes("row " + key)));

    public IStorageEngine Open(string folder) => UnderTest.Tiny.Open(folder, Environment);

    /// <summary>An engine beside this one, disposed with it.</summary>
    public IStorageEngine OpenOther(string folder)
    {
        IStorageEngine engine = Open(folder);
        _others.Add(engine);
        return engine;
    }

    /// <summary>Closes the engine, opens it again, and goes on where its files end.</summary>
    public void Reopen()
    {
        Close();
        Engine = Open(Folder);
        Position = Engine.FlushedPosition.Value;
    }

    public void Close()
    {
        Engine.Dispose();
        Scheduler.RunAll();
    }

    public void Stage(Action<WriteBatch> fill)
    {
        _batch.Clear();
        fill(_batch);
        Engine.Stage(_batch.Bytes);
    }

    public void Write(Action<WriteBatch> fill, bool isStable = true)
    {
        Stage(fill);
        PublishStaged(isStable);
    }

    public void PublishStaged(bool isStable)
    {
        Engine.Publish(new LogPosition(++Position));
        if (isStable)
            Engine.MarkStable(new LogPosition(Position));
    }

    public void Put(string key, string value, long expiresAtMs = 0) => Write(b => b.Put(Bytes(key), Bytes(value), expiresAtMs));

    public void Delete(string key) => Write(b => b.Delete(Bytes(key)));

    public void DeleteRange(string start, string end) => Write(b => b.DeleteRange(Bytes(start), Bytes(end)));

    /// <summary>Until everything that is stable is in the files, and nothing is left to do.</summary>
    public void Flush()
    {
        Engine.Flush();
        Engine.WaitForFlush();
        Scheduler.RunAll();
    }

    public void FlushAndCompact()
    {
        Flush();
        Engine.Compact();
        Scheduler.RunAll();
    }

    public string? Get(string key, ReadView view = default) => Get(Engine, Bytes(key), view) is { } value ? Encoding.UTF8.GetString(value) : null;

    public static byte[]? Get(IStorageEngine engine, ReadOnlySpan<byte> key, ReadView view = default)
    {
        var value = new BytesBuffer();
        EntryInfo info = engine.Get(key, view, value);
        Assert.Equal(info.Found ? info.ValueLength : 0, value.Length);
        Assert.Equal(info, engine.Get(key, view, value: null));
        return info.Found ? value.WrittenSpan.ToArray() : null;
    }

    /// <summary>Everything that a view shows, as a walk finds it and as point reads do.</summary>
    public SortedDictionary<string, string> All(ReadView view = default) => All(Engine, view);

    public static SortedDictionary<string, string> All(IStorageEngine engine, ReadView view = default)
    {
        var all = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach ((byte[] key, byte[] value) in Scan(engine, new IteratorOptions { View = view }))
        {
            Assert.Equal(value, Get(engine, key, view));
            all.Add(Encoding.UTF8.GetString(key), Encoding.UTF8.GetString(value));
        }

        return all;
    }

    public static List<(byte[] Key, byte[] Value)> Scan(IStorageEngine engine, in IteratorOptions options)
    {
        List<(byte[] Key, byte[] Value)> rows = [];
        using EngineScan scan = engine.CreateScan(options);
        for (scan.SeekToFirst(); scan.Valid; scan.Next())
            rows.Add((scan.Key.ToArray(), scan.Value.ToArray()));
        return rows;
    }

    /// <summary>The engine's own order.</summary>
    public int Compare(ReadOnlySpan<byte> key, ReadOnlySpan<byte> other) =>
        Engine is IOrderedEngine ? key.SequenceCompareTo(other) : TokenOrder.Compare(key, other);

    /// <summary>Keys, some of them written over, deleted, expiring, and covered by the deletion of a range; in several files where there are several.</summary>
    public void FillMixed()
    {
        for (int i = 0; i < 60; i++)
            Put(Key(i), "first " + i);
        Flush();
        for (int i = 0; i < 60; i += 3)
            Put(Key(i), "second " + i, i % 2 == 0 ? 0 : 4_000_000_000_000);
        for (int i = 1; i < 60; i += 10)
            Delete(Key(i));
        DeleteRange(Key(50), Key(55));
        Flush();
    }

    public void Dispose()
    {
        foreach (IStorageEngine other in _others)
            other.Dispose();
        Close();
        Disk.Dispose();
        Assert.Equal(0, Memory.WriteBytes);
        Assert.Equal(0, Memory.CacheBytes);
    }
}
