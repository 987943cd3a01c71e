using System.Collections.Immutable;
using Kvasir.Primitives;

namespace Kvasir.Simulation.Workloads;

/// <summary>
/// What all databases of a node should hold after a number of transactions: an immutable value, so that every prefix of a
/// history can be kept and compared.
/// </summary>
internal sealed class DatabaseModel
{
    private static readonly ImmutableSortedDictionary<byte[], ModelValue> s_empty =
        ImmutableSortedDictionary.Create<byte[], ModelValue>(BytesComparer.Instance);

    private readonly ImmutableArray<ImmutableSortedDictionary<byte[], ModelValue>> _databases;

    private DatabaseModel(ImmutableArray<ImmutableSortedDictionary<byte[], ModelValue>> databases) => _databases = databases;

    public static DatabaseModel Empty(int databases) => new([.. Enumerable.Repeat(s_empty, databases)]);

    public int DatabaseCount => _databases.Length;

    public IEnumerable<KeyValuePair<byte[], ModelValue>> Live(int database, long nowMs) =>
        _databases[database].Where(e => e.Value.ExpiresAtMs == 0 || e.Value.ExpiresAtMs > nowMs);

    public DatabaseModel Put(int database, byte[] key, byte[] value, long expiresAtMs) =>
        With(database, _databases[database].SetItem(key, new ModelValue(value, expiresAtMs)));

    public DatabaseModel Delete(int database, byte[] key) => With(database, _databases[database].Remove(key));

    /// <summary>An empty end means no bound.</summary>
    public DatabaseModel DeleteRange(int database, byte[] start, byte[] end) =>
        With(database, _databases[database].RemoveRange(_databases[database].Keys.Where(
            k => k.AsSpan().SequenceCompareTo(start) >= 0 && (end.Length == 0 || k.AsSpan().SequenceCompareTo(end) < 0))));

    public DatabaseModel Swap(int first, int second) =>
        new(_databases.SetItem(first, _databases[second]).SetItem(second, _databases[first]));

    private DatabaseModel With(int database, ImmutableSortedDictionary<byte[], ModelValue> content) =>
        new(_databases.SetItem(database, content));
}

internal readonly record struct ModelValue(byte[] Value, long ExpiresAtMs);

/// <summary>Unsigned bytes, shorter first where one begins the other.</summary>
internal sealed class BytesComparer : IComparer<byte[]>
{
    public static readonly BytesComparer Instance = new();

    public int Compare(byte[]? x, byte[]? y) => x.AsSpan().SequenceCompareTo(y);
}
