using System.Globalization;
using System.Text;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog;

namespace Kvasir.Storage.Tests.HashLog.Engine;

/// <summary>One hash log on an imagined disk.</summary>
internal sealed class LogWorld : IDisposable
{
    private readonly WriteBatch _batch = new();

    public LogWorld(HashLogOptions? options = null, bool keepsDigest = false)
    {
        Options = options ?? HashLogOptions.Tiny;
        KeepsDigest = keepsDigest;
        Engine = Open();
    }

    public SimulatedScheduler Scheduler { get; } = new(new SeededRandom(1));

    public SimulatedFileSystem Disk { get; set; } = new(new SeededRandom(2));

    public MemoryBudget Memory { get; } = new(MemoryBudget.MinimumBytes);

    public HashLogOptions Options { get; }

    public bool KeepsDigest { get; }

    public List<string> Warnings { get; } = [];

    /// <summary>Happens wherever the engine wants what is published to become stable.</summary>
    public Action? OnStabilityWanted { get; set; }

    /// <summary>Happens wherever the engine asks what may expire.</summary>
    public Action? OnHorizon { get; set; }

    public HashLogEngine Engine { get; private set; }

    public ulong Position { get; private set; }

    public string Folder => "/log";

    public HashLogEngine Open() => HashLogEngine.Open(
        Folder,
        new EngineEnvironment(Disk, Scheduler, Memory)
        {
            LimitNears = Warnings.Add, KeepsDigest = KeepsDigest, ExpiryHorizon = Horizon, StabilityWanted = () => OnStabilityWanted?.Invoke(),
        },
        Options);

    public void Reopen()
    {
        Engine.Dispose();
        Scheduler.RunAll();
        Engine = Open();
        Position = Engine.FlushedPosition.Value;
    }

    public void Write(Action<WriteBatch> fill, bool isStable = true)
    {
        _batch.Clear();
        fill(_batch);
        Engine.Stage(_batch.Bytes);
        Engine.Publish(new LogPosition(++Position));
        if (isStable)
            MarkStable();
    }

    public void MarkStable() => Engine.MarkStable(new LogPosition(Position));

    public void Put(string key, string value, long expiresAtMs = 0) => Write(b => b.Put(Bytes(key), Bytes(value), expiresAtMs));

    public void Delete(string key, bool isStable = true) => Write(b => b.Delete(Bytes(key)), isStable);

    public void Flush()
    {
        Engine.Flush();
        Engine.WaitForFlush();
        Scheduler.RunAll();
    }

    public string? Get(string key, ReadView view = default)
    {
        var value = new BytesBuffer();
        EntryInfo info = Engine.Get(Bytes(key), view, value);
        Assert.Equal(info.Found ? info.ValueLength : 0, value.Length);
        return info.Found ? Encoding.UTF8.GetString(value.WrittenSpan) : null;
    }

    public SortedDictionary<string, string> All(ReadView view = default)
    {
        var all = new SortedDictionary<string, string>(StringComparer.Ordinal);
        using EngineScan scan = Engine.CreateScan(new IteratorOptions { View = view });
        for (scan.SeekToFirst(); scan.Valid; scan.Next())
            all.Add(Encoding.UTF8.GetString(scan.Key), Encoding.UTF8.GetString(scan.Value));
        return all;
    }

    /// <summary>Keys, some of them written over, deleted, expiring, and covered by the deletion of a range; in several segments.</summary>
    public void FillMixed()
    {
        for (int i = 0; i < 60; i++)
            Put(Key(i), "first " + i);
        Flush();
        for (int i = 0; i < 60; i += 3)
            Put(Key(i), "second " + i, i % 2 == 0 ? 0 : 4_000_000_000_000);
        for (int i = 1; i < 60; i += 10)
            Delete(Key(i));
        Write(b => b.DeleteRange(Bytes(Key(50)), Bytes(Key(55))));
        Flush();
    }

    private long Horizon(long nowMs)
    {
        OnHorizon?.Invoke();
        return nowMs;
    }

    public static string Key(int number) => string.Create(CultureInfo.InvariantCulture, $"key{number:D4}");

    public static byte[] Bytes(string text) => Encoding.UTF8.GetBytes(text);

    public void Dispose()
    {
        Engine.Dispose();
        Scheduler.RunAll();
        Assert.Equal(0, Memory.WriteBytes);
        Assert.Equal(0, Memory.CacheBytes);
    }
}
