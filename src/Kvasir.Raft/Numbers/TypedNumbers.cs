namespace Kvasir.Raft.Numbers;

/// <summary>
/// A member's number in its group, never given twice: who lost what it had comes back under a new one, since the old one has made
/// promises (votes, acknowledgements) that are gone with it. The low half says who keeps the member, the high half which of the
/// keeper's members it is, one after another; to the rules of Raft only the whole counts. Zero is nobody.
/// </summary>
public readonly record struct MemberId(ulong Value) : IComparable<MemberId>
{
    public static readonly MemberId None;

    public MemberId(uint keeper, uint generation)
        : this(((ulong)generation << 32) | keeper)
    {
    }

    public bool IsNone => Value == 0;

    public uint Keeper => (uint)Value;

    /// <summary>Zero for the first.</summary>
    public uint Generation => (uint)(Value >> 32);

    public int CompareTo(MemberId other) => Value.CompareTo(other.Value);

    public static bool operator <(MemberId a, MemberId b) => a.Value < b.Value;

    public static bool operator >(MemberId a, MemberId b) => a.Value > b.Value;

    public static bool operator <=(MemberId a, MemberId b) => a.Value <= b.Value;

    public static bool operator >=(MemberId a, MemberId b) => a.Value >= b.Value;

    /// <summary>As in <c>3</c>, and <c>3.7</c> for a later generation.</summary>
    public override string ToString() => Generation == 0
        ? Value.ToString(System.Globalization.CultureInfo.InvariantCulture)
        : string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Keeper}.{Generation}");
}

/// <summary>The logical time of a group; it has at most one leader in each. Zero is before the first election.</summary>
public readonly record struct Term(ulong Value) : IComparable<Term>
{
    public static readonly Term Zero;

    public Term Next => new(Value + 1);

    public int CompareTo(Term other) => Value.CompareTo(other.Value);

    public static bool operator <(Term a, Term b) => a.Value < b.Value;

    public static bool operator >(Term a, Term b) => a.Value > b.Value;

    public static bool operator <=(Term a, Term b) => a.Value <= b.Value;

    public static bool operator >=(Term a, Term b) => a.Value >= b.Value;

    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>The place of an entry in a group's log, from 1 without gaps. Zero is before the first.</summary>
public readonly record struct LogIndex(ulong Value) : IComparable<LogIndex>
{
    public static readonly LogIndex Zero;
    public static readonly LogIndex Max = new(ulong.MaxValue);

    public LogIndex Next => new(Value + 1);

    public LogIndex Previous => new(Value - 1);

    public int CompareTo(LogIndex other) => Value.CompareTo(other.Value);

    public static LogIndex Least(LogIndex a, LogIndex b) => a.Value < b.Value ? a : b;

    public static LogIndex Greatest(LogIndex a, LogIndex b) => a.Value > b.Value ? a : b;

    public static LogIndex operator +(LogIndex a, ulong entries) => new(a.Value + entries);

    /// <summary>How many entries lie in (<paramref name="b"/>, <paramref name="a"/>].</summary>
    public static ulong operator -(LogIndex a, LogIndex b) => a.Value - b.Value;

    public static bool operator <(LogIndex a, LogIndex b) => a.Value < b.Value;

    public static bool operator >(LogIndex a, LogIndex b) => a.Value > b.Value;

    public static bool operator <=(LogIndex a, LogIndex b) => a.Value <= b.Value;

    public static bool operator >=(LogIndex a, LogIndex b) => a.Value >= b.Value;

    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>
/// The number of one request to the disk in the life of one <c>RaftMember</c>, from 1. The disk makes them durable in this
/// order: when one is, all before it are. Zero is none.
/// </summary>
public readonly record struct WriteNumber(ulong Value) : IComparable<WriteNumber>
{
    public static readonly WriteNumber None;

    public int CompareTo(WriteNumber other) => Value.CompareTo(other.Value);

    public static bool operator <(WriteNumber a, WriteNumber b) => a.Value < b.Value;

    public static bool operator >(WriteNumber a, WriteNumber b) => a.Value > b.Value;

    public static bool operator <=(WriteNumber a, WriteNumber b) => a.Value <= b.Value;

    public static bool operator >=(WriteNumber a, WriteNumber b) => a.Value >= b.Value;

    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
