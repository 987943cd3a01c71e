using System.Globalization;

namespace Kvasir.Cluster.Transport;

/// <summary>A node's number in its cluster, never given twice. Zero is nobody.</summary>
public readonly record struct NodeId(ulong Value) : IComparable<NodeId>
{
    public static readonly NodeId None;

    public bool IsNone => Value == 0;

    public int CompareTo(NodeId other) => Value.CompareTo(other.Value);

    public static bool operator <(NodeId a, NodeId b) => a.Value < b.Value;

    public static bool operator >(NodeId a, NodeId b) => a.Value > b.Value;

    public static bool operator <=(NodeId a, NodeId b) => a.Value <= b.Value;

    public static bool operator >=(NodeId a, NodeId b) => a.Value >= b.Value;

    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}
