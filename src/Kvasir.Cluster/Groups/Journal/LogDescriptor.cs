using Kvasir.Primitives;
using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Groups.Journal;

/// <summary>All that a replica must find again, except the entries behind the base.</summary>
/// <param name="HardState">Term and vote.</param>
/// <param name="BaseIndex">The log begins behind it.</param>
/// <param name="BaseTerm">The term at the base.</param>
/// <param name="LastIndex">Where the log ends.</param>
/// <param name="Configuration">The configuration in force at the base, and its entry.</param>
internal readonly record struct LogDescriptor(
    HardState HardState, LogIndex BaseIndex, Term BaseTerm, LogIndex LastIndex, ConfigurationEntry Configuration)
{
    public bool IsSound =>
        LastIndex >= BaseIndex && Configuration.Index <= BaseIndex && Configuration.Term <= BaseTerm && BaseTerm <= HardState.Term;

    public void WriteTo(BytesBuffer destination)
    {
        Span<byte> span = destination.GetSpan((7 * Varint.MaxLength64) + ConfigurationCodec.Length(Configuration.Configuration));
        int at = Varint.Write(span, HardState.Term.Value);
        at += Varint.Write(span[at..], HardState.Vote.Value);
        at += Varint.Write(span[at..], BaseIndex.Value);
        at += Varint.Write(span[at..], BaseTerm.Value);
        at += Varint.Write(span[at..], LastIndex.Value);
        at += Varint.Write(span[at..], Configuration.Index.Value);
        at += Varint.Write(span[at..], Configuration.Term.Value);
        at += ConfigurationCodec.Write(span[at..], Configuration.Configuration);
        destination.Advance(at);
    }

    /// <summary>False when the bytes are not exactly a descriptor that makes sense.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, out LogDescriptor descriptor)
    {
        descriptor = default;
        var numbers = new SectionNumbers(source);
        if (!numbers.TryNext(out ulong term) || !numbers.TryNext(out ulong vote)
            || !numbers.TryNext(out ulong baseIndex) || !numbers.TryNext(out ulong baseTerm) || !numbers.TryNext(out ulong last)
            || !numbers.TryNext(out ulong configurationIndex) || !numbers.TryNext(out ulong configurationTerm)
            || !ConfigurationCodec.TryRead(numbers.Rest, out Configuration? configuration))
            return false;
        descriptor = new LogDescriptor(
            new HardState(new Term(term), new MemberId(vote)),
            new LogIndex(baseIndex),
            new Term(baseTerm),
            new LogIndex(last),
            new ConfigurationEntry(new LogIndex(configurationIndex), new Term(configurationTerm), configuration));
        return descriptor.IsSound;
    }
}

/// <summary>Takes the numbers at the beginning of a section.</summary>
internal ref struct SectionNumbers(ReadOnlySpan<byte> source)
{
    public ReadOnlySpan<byte> Rest { get; private set; } = source;

    public bool TryNext(out ulong value)
    {
        if (!Varint.TryRead(Rest, out value, out int length))
            return false;
        Rest = Rest[length..];
        return true;
    }
}
