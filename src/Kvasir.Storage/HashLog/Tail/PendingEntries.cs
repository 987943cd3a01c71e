using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Kvasir.Primitives;
using Kvasir.Storage.HashLog.Index;

namespace Kvasir.Storage.HashLog.Tail;

/// <summary>
/// The newest records of the tail that the index does not lead to yet. The line of the index that a write needs has mostly left the
/// caches, and whoever writes one key after the other would wait for each: asked for now, it is there by the time of a few more writes.
/// The writer adds and settles, oldest first. Readers look here before they look into the index, inside the epoch and without a lock.
/// <para>
/// A record leaves after the index leads to it. So a reader that goes from the newest to the oldest, and then to the index, finds the
/// newest version of its view: whatever it no longer meets here has gone to the index, and everything older has gone before it.
/// </para>
/// </summary>
internal sealed unsafe class PendingEntries(KeyIndex index, PendingLinks links)
{
    private const int Capacity = 8;

    private Words _tokens;
    private Words _records;

    // Numbers of records since the beginning: of the one that comes next, and of the first that the index does not lead to.
    private uint _next;
    private uint _first;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(ulong token, TailRecord* record)
    {
        if (_next - _first == Capacity)
            SettleFirst();
        index.Prefetch(token);
        int place = (int)(_next % Capacity);

        // The place is empty: whoever reads the token before the record meets nothing, or compares the key.
        Volatile.Write(ref _tokens[place], token);
        Volatile.Write(ref _records[place], (ulong)record);
        Volatile.Write(ref _next, _next + 1);
    }

    /// <summary>By the writer: whether there may be a record of a key with this token.</summary>
    public bool Has(ulong token)
    {
        for (uint i = _first; i != _next; i++)
        {
            if (_tokens[(int)(i % Capacity)] == token)
                return true;
        }

        return false;
    }

    /// <summary>The newest record here of a key that is at or before a sequence number; null when there is none. Inside the epoch.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public TailRecord* Find(ulong token, ReadOnlySpan<byte> key, ulong sequence)
    {
        uint next = Volatile.Read(ref _next);

        // Mostly none is of this key. Whatever was here by then is, or has gone to the index, where the reader looks next.
        if (Vector512.IsHardwareAccelerated && !HasAny(token))
            return null;
        uint first = Volatile.Read(ref _first);
        for (int left = (int)(next - first); left > 0; left--)
        {
            int place = (int)(--next % Capacity);
            if (Volatile.Read(ref _tokens[place]) != token)
                continue;
            var record = (TailRecord*)Volatile.Read(ref _records[place]);
            if (record != null && record->Sequence <= sequence && key.SequenceEqual(TailRecord.Key(record)))
                return record;
        }

        return null;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool HasAny(ulong token)
    {
        bool has = Vector512.EqualsAny(Vector512.LoadUnsafe(ref _tokens[0]), Vector512.Create(token));
        Volatile.ReadBarrier();
        return has;
    }

    /// <summary>Leads the index to all of them.</summary>
    public void Settle()
    {
        while (_first != _next)
            SettleFirst();
    }

    private void SettleFirst()
    {
        int place = (int)(_first % Capacity);
        Enter(_tokens[place], (TailRecord*)_records[place]);
        Volatile.Write(ref _records[place], 0);
        Volatile.Write(ref _first, _first + 1);
    }

    private void Enter(ulong token, TailRecord* record)
    {
        using KeyIndex.HeldShard held = index.Lock(token);
        ulong* there = held.Find(token, record->Check);
        if (there == null)
        {
            held.Insert(token, record->Check, Location.InMemory(record));
            return;
        }

        ulong before = *there;
        record->Previous = before;
        Volatile.Write(ref *there, Location.InMemory(record));
        if (Location.IsMemory(before))
            links.Add(TailRecord.At(before), record);
    }

    [InlineArray(Capacity)]
    private struct Words
    {
        private ulong _first;
    }
}
