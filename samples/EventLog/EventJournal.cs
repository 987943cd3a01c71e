using System.Buffers.Binary;
using System.Text;
using Kvasir.Storage.Embedded;
using Kvasir.Storage.Engines;

namespace Kvasir.Samples.EventLog;

/// <summary>
/// Events of many streams, each with its number: an append is durable when it returns, a stream is read from any number on, old events are
/// dropped by number. A key is the stream, a zero byte, and the number in eight bytes, the largest first: so keys lie in the order of events.
/// </summary>
internal sealed class EventJournal : IDisposable
{
    private readonly OrderedStore _store;
    private readonly Dictionary<string, long> _next = new(StringComparer.Ordinal);
    private readonly Lock _appending = new();

    public EventJournal(string folder) => _store = OrderedStore.Open(folder);

    /// <summary>Appends events to one stream, all or none; the number of the first.</summary>
    public long Append(string stream, params IReadOnlyList<string> events)
    {
        var batch = new WriteBatch();
        lock (_appending)
        {
            long first = NextOf(stream);
            for (int i = 0; i < events.Count; i++)
                batch.Put(KeyOf(stream, first + i), Encoding.UTF8.GetBytes(events[i]));
            _store.Write(batch);
            _next[stream] = first + events.Count;
            return first;
        }
    }

    public IEnumerable<(long Number, string Event)> Read(string stream, long from = 0)
    {
        using EngineIterator iterator = _store.CreateIterator(new IteratorOptions { LowerBound = KeyOf(stream, from), UpperBound = EndOf(stream) });
        for (iterator.SeekToFirst(); iterator.Valid; iterator.Next())
            yield return (NumberIn(iterator.Key), Encoding.UTF8.GetString(iterator.Value));
    }

    /// <summary>Drops the events before this number: one write, however many there are.</summary>
    public void DropBefore(string stream, long number)
    {
        lock (_appending)
        {
            // The last one stays: it says which number is next.
            _store.DeleteRange(KeyOf(stream, 0), KeyOf(stream, Math.Min(number, NextOf(stream) - 1)));
        }
    }

    public void Dispose() => _store.Dispose();

    private long NextOf(string stream)
    {
        if (_next.TryGetValue(stream, out long next))
            return next;
        using EngineIterator iterator = _store.CreateIterator(new IteratorOptions { LowerBound = KeyOf(stream, 0), UpperBound = EndOf(stream) });
        iterator.SeekToLast();
        return _next[stream] = iterator.Valid ? NumberIn(iterator.Key) + 1 : 0;
    }

    private static byte[] KeyOf(string stream, long number)
    {
        byte[] key = new byte[Encoding.UTF8.GetByteCount(stream) + 9];
        Encoding.UTF8.GetBytes(stream, key);
        BinaryPrimitives.WriteInt64BigEndian(key.AsSpan(key.Length - 8), number);
        return key;
    }

    private static byte[] EndOf(string stream) => [.. Encoding.UTF8.GetBytes(stream), 1];

    private static long NumberIn(ReadOnlySpan<byte> key) => BinaryPrimitives.ReadInt64BigEndian(key[^8..]);
}
