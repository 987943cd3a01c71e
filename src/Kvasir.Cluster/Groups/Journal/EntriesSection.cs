using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Groups.Journal;

/// <summary>
/// Entries that follow each other: the first index, then each entry as a tag (its kind, and whether a term follows), the
/// term where it differs from that of the entry before, a length, and the bytes.
/// </summary>
internal static class EntriesSection
{
    public const int KindMask = 3;
    public const int TermFollows = 4;

    /// <summary>Appends the section under its group's number; returns its bytes.</summary>
    public static int Append(BytesBuffer record, GroupId group, LogIndex first, LogIndex last, IEntryBytes entries)
    {
        long length = Measure(first, last, entries);
        Check.That(length < Array.MaxLength / 2, $"a section of {length} bytes");
        Span<byte> head = record.GetSpan((int)length + Varint.MaxLength32 + Varint.MaxLength64);
        int at = Varint.Write(head, group.Value);
        at += Varint.Write(head[at..], (ulong)length);
        int begin = at;
        head[at++] = (byte)SectionKind.Entries;
        at += Varint.Write(head[at..], first.Value);
        Term before = Term.Zero;
        for (LogIndex index = first; index <= last; index = index.Next)
        {
            Term term = entries.TermOf(index);
            int tag = (int)entries.KindOf(index);
            ReadOnlySpan<byte> bytes = entries.BytesOf(index);
            if (term == before)
            {
                head[at++] = (byte)tag;
            }
            else
            {
                Check.That(term > before, $"entry {index} of group {group} has term {term} behind {before}");
                head[at++] = (byte)(tag | TermFollows);
                at += Varint.Write(head[at..], term.Value);
                before = term;
            }

            at += Varint.Write(head[at..], (ulong)bytes.Length);
            bytes.CopyTo(head[at..]);
            at += bytes.Length;
        }

        Check.That(at - begin == length, $"group {group}: the entries {first} to {last} changed while they were written");
        record.Advance(at);
        return (int)length;
    }

    private static long Measure(LogIndex first, LogIndex last, IEntryBytes entries)
    {
        long length = 1 + Varint.Length(first.Value);
        Term before = Term.Zero;
        for (LogIndex index = first; index <= last; index = index.Next)
        {
            int bytes = entries.BytesOf(index).Length;
            length += 1 + Varint.Length((ulong)bytes) + bytes;
            Term term = entries.TermOf(index);
            if (term == before)
                continue;
            length += Varint.Length(term.Value);
            before = term;
        }

        return length;
    }
}

/// <summary>Walks the entries of a section, behind its kind. Never reads outside of it, whatever it holds.</summary>
internal ref struct EntriesReader
{
    private ReadOnlySpan<byte> _rest;

    public EntriesReader(ReadOnlySpan<byte> content)
    {
        var numbers = new SectionNumbers(content);
        Malformed = !numbers.TryNext(out ulong first) || first == 0 || numbers.Rest.IsEmpty;
        First = new LogIndex(first);
        Index = Malformed ? First : First.Previous;
        _rest = numbers.Rest;
    }

    public LogIndex First { get; }

    public LogIndex Index { get; private set; }

    public Term Term { get; private set; }

    public EntryKind Kind { get; private set; }

    public ReadOnlySpan<byte> Bytes { get; private set; }

    /// <summary>The bytes make no sense. To be asked when <see cref="MoveNext"/> has returned false.</summary>
    public bool Malformed { get; private set; }

    public bool MoveNext()
    {
        if (_rest.IsEmpty || Malformed)
            return false;
        int tag = _rest[0];
        var numbers = new SectionNumbers(_rest[1..]);
        ulong term = Term.Value;
        if (tag > (EntriesSection.KindMask | EntriesSection.TermFollows)
            || (tag & EntriesSection.KindMask) > (int)EntryKind.Configuration
            || ((tag & EntriesSection.TermFollows) != 0 && !numbers.TryNext(out term))
            || term == 0
            || !numbers.TryNext(out ulong length) || length > (ulong)numbers.Rest.Length)
        {
            Malformed = true;
            return false;
        }

        Index = Index.Next;
        Term = new Term(term);
        Kind = (EntryKind)(tag & EntriesSection.KindMask);
        Bytes = numbers.Rest[..(int)length];
        _rest = numbers.Rest[(int)length..];
        return true;
    }
}
