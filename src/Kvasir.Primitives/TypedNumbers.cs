namespace Kvasir.Primitives;

/// <summary>
/// A place in a replicated or journaled history of writes; larger is later. In a journal it is the logical byte
/// position of a record, in a Raft group the log index. Zero is before the first write.
/// </summary>
public readonly record struct LogPosition(ulong Value) : IComparable<LogPosition>
{
    public static readonly LogPosition Zero;
    public static readonly LogPosition Max = new(ulong.MaxValue);

    public int CompareTo(LogPosition other) => Value.CompareTo(other.Value);

    public static bool operator <(LogPosition a, LogPosition b) => a.Value < b.Value;

    public static bool operator >(LogPosition a, LogPosition b) => a.Value > b.Value;

    public static bool operator <=(LogPosition a, LogPosition b) => a.Value <= b.Value;

    public static bool operator >=(LogPosition a, LogPosition b) => a.Value >= b.Value;

    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>
/// The number of one mutation in one engine, 1 to 2^56-1, given in the order of application. Zero is before the first.
/// </summary>
public readonly record struct SequenceNumber(ulong Value) : IComparable<SequenceNumber>
{
    /// <summary>The largest sequence number: it shares eight bytes with the value kind.</summary>
    public static readonly SequenceNumber Max = new((1UL << 56) - 1);

    public int CompareTo(SequenceNumber other) => Value.CompareTo(other.Value);

    public static bool operator <(SequenceNumber a, SequenceNumber b) => a.Value < b.Value;

    public static bool operator >(SequenceNumber a, SequenceNumber b) => a.Value > b.Value;

    public static bool operator <=(SequenceNumber a, SequenceNumber b) => a.Value <= b.Value;

    public static bool operator >=(SequenceNumber a, SequenceNumber b) => a.Value >= b.Value;

    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
