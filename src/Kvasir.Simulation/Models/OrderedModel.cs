using System.Collections.Immutable;
using Kvasir.Storage.Engines;

namespace Kvasir.Simulation.Models;

/// <summary>
/// A sorted map that never changes: what an engine should hold, at one moment. Each mutation makes another, which shares
/// most of the old one, so every snapshot of a long history can be kept. Keys are found by rank, as iterators want it.
/// </summary>
internal sealed class OrderedModel
{
    public static readonly OrderedModel Empty = new(ImmutableSortedSet.Create<OrderedRow>(ByKey.Instance));

    private static readonly OrderedModel s_emptyByToken = new(ImmutableSortedSet.Create<OrderedRow>(ByToken.Instance));

    private readonly ImmutableSortedSet<OrderedRow> _rows;

    private OrderedModel(ImmutableSortedSet<OrderedRow> rows) => _rows = rows;

    /// <summary>In the order in which the engine scans.</summary>
    public static OrderedModel EmptyOf(IStorageEngine engine) => engine is IOrderedEngine ? Empty : s_emptyByToken;

    public int Count => _rows.Count;

    public OrderedRow this[int rank] => _rows[rank];

    public IEnumerable<OrderedRow> Rows => _rows;

    /// <summary>The rank of the first row at or after <paramref name="key"/>; <see cref="Count"/> when there is none.</summary>
    public int RankOf(byte[] key)
    {
        int rank = _rows.IndexOf(new OrderedRow(key, [], 0));
        return rank < 0 ? ~rank : rank;
    }

    public bool IsBefore(int rank, ReadOnlySpan<byte> key) =>
        (_rows.KeyComparer == ByToken.Instance ? TokenOrder.Compare(_rows[rank].Key, key) : _rows[rank].Key.AsSpan().SequenceCompareTo(key)) < 0;

    public OrderedRow? Find(byte[] key) => _rows.TryGetValue(new OrderedRow(key, [], 0), out OrderedRow? row) ? row : null;

    public OrderedModel Put(OrderedRow row) => new(_rows.Remove(row).Add(row));

    public OrderedModel Delete(byte[] key) => new(_rows.Remove(new OrderedRow(key, [], 0)));

    /// <summary>An empty end means no bound.</summary>
    public OrderedModel DeleteRange(byte[] start, byte[] end)
    {
        if (_rows.KeyComparer == ByToken.Instance)
        {
            return new(_rows.Except(_rows.Where(
                r => r.Key.AsSpan().SequenceCompareTo(start) >= 0 && (end.Length == 0 || r.Key.AsSpan().SequenceCompareTo(end) < 0))));
        }

        int first = RankOf(start);
        int last = end.Length == 0 ? Count : RankOf(end);
        if (first == 0 && last == Count)
            return Empty;
        ImmutableSortedSet<OrderedRow>.Builder left = _rows.ToBuilder();
        for (int rank = last - 1; rank >= first; rank--)
            left.Remove(_rows[rank]);
        return new(left.ToImmutable());
    }

    private sealed class ByToken : IComparer<OrderedRow>
    {
        public static readonly ByToken Instance = new();

        public int Compare(OrderedRow? x, OrderedRow? y) => TokenOrder.Compare(x!.Key, y!.Key);
    }

    private sealed class ByKey : IComparer<OrderedRow>
    {
        public static readonly ByKey Instance = new();

        public int Compare(OrderedRow? x, OrderedRow? y) => x!.Key.AsSpan().SequenceCompareTo(y!.Key);
    }
}

/// <summary>One key; <paramref name="ExpiresAtMs"/> is 0 for never.</summary>
internal sealed record OrderedRow(byte[] Key, byte[] Value, long ExpiresAtMs)
{
    public bool IsLiveAt(long nowMs) => ExpiresAtMs == 0 || ExpiresAtMs > nowMs;
}
