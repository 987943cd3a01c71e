using System.Globalization;

namespace Kvasir.Cluster.Groups;

/// <summary>
/// The number of a Raft group, which is one shard of one keyspace: in the journal, in messages and in the directory. Never
/// given twice. Zero is no group.
/// </summary>
public readonly record struct GroupId(uint Value) : IComparable<GroupId>
{
    public static readonly GroupId None;

    /// <summary>The system keyspace, which knows all others.</summary>
    public static readonly GroupId Directory = new(1);

    public bool IsNone => Value == 0;

    public int CompareTo(GroupId other) => Value.CompareTo(other.Value);

    public static bool operator <(GroupId a, GroupId b) => a.Value < b.Value;

    public static bool operator >(GroupId a, GroupId b) => a.Value > b.Value;

    public static bool operator <=(GroupId a, GroupId b) => a.Value <= b.Value;

    public static bool operator >=(GroupId a, GroupId b) => a.Value >= b.Value;

    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}
