using System.Globalization;

namespace Kvasir.Cluster.Directory;

/// <summary>A keyspace's number in its cluster, never given twice. Zero is none.</summary>
public readonly record struct KeyspaceId(uint Value) : IComparable<KeyspaceId>
{
    public static readonly KeyspaceId None;

    /// <summary>The keyspace that the directory itself lies in.</summary>
    public static readonly KeyspaceId System = new(1);

    public bool IsNone => Value == 0;

    public int CompareTo(KeyspaceId other) => Value.CompareTo(other.Value);

    public static bool operator <(KeyspaceId a, KeyspaceId b) => a.Value < b.Value;

    public static bool operator >(KeyspaceId a, KeyspaceId b) => a.Value > b.Value;

    public static bool operator <=(KeyspaceId a, KeyspaceId b) => a.Value <= b.Value;

    public static bool operator >=(KeyspaceId a, KeyspaceId b) => a.Value >= b.Value;

    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}
