using Kvasir.Primitives;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Buffered.MemTables;
using Kvasir.Storage.Buffered.Rows;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Tests.Lsm.Engine;

namespace Kvasir.Storage.Tests.Lsm.Rows;

public unsafe class RowCacheTests
{
    private readonly SimulatedClock _clock = new(DateTimeOffset.UnixEpoch + TimeSpan.FromDays(1));
    private readonly MemoryBudget _memory = new(MemoryBudget.MinimumBytes);
    private readonly BytesBuffer _value = new();
    private ReadState? _state = NewState();

    [Fact]
    public void ACacheUnderPressureForgetsButNeverErrs()
    {
        for (ulong seed = 0; seed < 4; seed++)
        {
            var random = new SeededRandom(seed);
            var rows = new RowCache(_memory);
            var tables = new Dictionary<int, (ulong Sequence, byte[] Value)>();
            ulong sequence = 0;
            long hits = 0;
            for (int step = 0; step < 60_000; step++)
            {
                int number = random.OneIn(3) ? random.Next(500) : random.Next(40_000);
                byte[] key = Key(number);
                if (random.OneIn(1000))
                {
                    Flush(rows, tables, random, ref sequence);
                }
                else if (Read(rows, key, ulong.MaxValue, out RowInfo row))
                {
                    hits++;
                    Assert.True(tables.TryGetValue(number, out (ulong Sequence, byte[] Value) truth), $"seed {seed}, step {step}");
                    Assert.Equal(truth.Sequence, row.Sequence);
                    Assert.True(_value.WrittenSpan.SequenceEqual(truth.Value));
                    Assert.False(Read(rows, key, row.Sequence - 1, out _));
                }
                else
                {
                    if (!tables.TryGetValue(number, out (ulong Sequence, byte[] Value) truth))
                        tables[number] = truth = (++sequence, Value(random));
                    rows.Offer(key, StableHash.Hash64(key), new RowInfo(truth.Sequence, 0, truth.Value.Length), truth.Value, ref _state, _state!);
                }
            }

            Assert.True(hits > 1000, $"only {hits} hits");
            Assert.True(rows.Bytes <= (_memory.CacheLimitBytes / 3) + (2 << 20), $"{rows.Bytes} bytes");
            Assert.Equal(rows.Bytes, _memory.CacheBytes);
            // Writers need the memory now.
            _memory.AddWrite(_memory.TotalBytes);
            rows.Trim();
            Assert.True(rows.Bytes <= (_memory.CacheLimitBytes / 3) + (1 << 20), $"{rows.Bytes} bytes after a trim");
            _memory.AddWrite(-_memory.TotalBytes);
            rows.Free();
            Assert.Equal(0, _memory.CacheBytes);
        }
    }

    [Fact]
    public void AnOfferFromAReplacedStateIsRefused()
    {
        var rows = new RowCache(_memory);
        byte[] key = Key(1);
        ReadState old = _state!;
        _state = NewState();
        rows.Offer(key, StableHash.Hash64(key), new RowInfo(1, 0, 1), "x"u8, ref _state, old);
        Assert.False(Read(rows, key, 10, out _));
        rows.Offer(key, StableHash.Hash64(key), new RowInfo(1, 0, 1), "x"u8, ref _state, _state!);
        Assert.True(Read(rows, key, 10, out _));
        rows.Free();
    }

    [Fact]
    public void AFlushKeepsItsRowsWhileThereIsRoom()
    {
        var rows = new RowCache(_memory);
        byte[] hot = Key(-1);
        rows.Offer(hot, StableHash.Hash64(hot), new RowInfo(1, 0, 1), "x"u8, ref _state, _state!);
        int room = (int)(_memory.CacheLimitBytes / 3 / 128);
        ulong sequence = 1;
        for (int from = 0; from < 4 * room; from += 1000)
        {
            var memTable = new MemTable(_memory);
            for (int i = from; i < from + 1000; i++)
                memTable.Add(Key(i), StableHash.Hash64(Key(i)), ++sequence, ValueKind.Value, new byte[90], 0);
            rows.Update(memTable, adds: true);
            memTable.Release();
            Assert.True(Read(rows, hot, ulong.MaxValue, out _), "a flush evicted a row");
            if (from == 0)
                Assert.All(Enumerable.Range(0, 1000), i => Assert.True(Read(rows, Key(i), ulong.MaxValue, out _)));
        }

        Assert.True(rows.Bytes <= (_memory.CacheLimitBytes / 3) + (2 << 20), $"{rows.Bytes} bytes");
        Assert.True(rows.Count > room / 2, $"{rows.Count} rows where there is room for {room}");
        rows.Free();
    }

    [Fact]
    public void WhatHasExpiredIsNotHere()
    {
        var rows = new RowCache(_memory);
        byte[] key = Key(1);
        long deadline = _clock.GetUtcNow().ToUnixTimeMilliseconds() + 5;
        rows.Offer(key, StableHash.Hash64(key), new RowInfo(1, deadline, 1), "x"u8, ref _state, _state!);
        Assert.True(Read(rows, key, 10, out RowInfo row));
        Assert.Equal(deadline, row.ExpiresAtMs);
        _clock.Elapse(TimeSpan.FromMilliseconds(5));
        Assert.False(Read(rows, key, 10, out _));
        rows.Free();
    }

    [Fact]
    public void AScanDoesNotPushOutWhatIsReadOften()
    {
        var rows = new RowCache(_memory);
        var random = new SeededRandom(3);
        byte[] value = new byte[100];
        void Touch(int number)
        {
            byte[] key = Key(number);
            if (!Read(rows, key, 10, out _))
                rows.Offer(key, StableHash.Hash64(key), new RowInfo(1, 0, value.Length), value, ref _state, _state!);
        }

        for (int i = 0; i < 40_000; i++)
            Touch(random.Next(2000));
        for (int i = 0; i < 300_000; i++)
        {
            Touch(10_000 + i);
            if (i % 4 == 0)
                Touch(random.Next(2000));
        }

        int kept = 0;
        for (int i = 0; i < 2000; i++)
            kept += Read(rows, Key(i), 10, out _) ? 1 : 0;
        Assert.True(kept > 1900, $"{kept} of 2000 kept");
        rows.Free();
    }

    private static ReadState NewState() => new([], new FakeTableSet([], []));

    private static byte[] Key(int number) => BitConverter.GetBytes(number);

    private static byte[] Value(SeededRandom random)
    {
        byte[] value = new byte[random.OneIn(100) ? random.Next(9000) : random.Next(200)];
        random.NextBytes(value);
        return value;
    }

    private bool Read(RowCache rows, byte[] key, ulong sequence, out RowInfo row)
    {
        _value.Clear();
        return rows.TryGet(key, StableHash.Hash64(key), sequence, _clock, _value, out row);
    }

    private void Flush(
        RowCache rows, Dictionary<int, (ulong Sequence, byte[] Value)> tables, SeededRandom random, ref ulong sequence)
    {
        var memTable = new MemTable(_memory);
        for (int i = random.Next(400); i >= 0; i--)
        {
            int number = random.OneIn(2) ? random.Next(500) : random.Next(40_000);
            byte[] key = Key(number);
            if (random.OneIn(5))
            {
                memTable.Add(key, StableHash.Hash64(key), ++sequence, ValueKind.Tombstone, default, 0);
                tables.Remove(number);
                continue;
            }

            byte[] value = Value(random);
            memTable.Add(key, StableHash.Hash64(key), ++sequence, ValueKind.Value, value, 0);
            tables[number] = (sequence, value);
        }

        rows.Update(memTable, adds: random.OneIn(2));
        memTable.Release();
        if (!random.OneIn(4))
            return;
        byte[] start = Key(random.Next(40_000));
        var tombstone = new RangeTombstone(start, [(byte)(start[0] + 1)], ++sequence);
        foreach (int number in tables.Keys.ToArray())
        {
            if (tombstone.Covers(Key(number)))
                tables.Remove(number);
        }

        rows.RemoveCovered(new RangeTombstoneFragments([tombstone]));
    }
}
