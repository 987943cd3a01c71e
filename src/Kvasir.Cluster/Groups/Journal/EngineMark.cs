using Kvasir.Primitives;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Groups.Journal;

/// <summary>
/// What the files of a replica must hold, since its log has let go of what they hold: nobody else has that here. Says no more than
/// was in the files, durable, before it was gathered.
/// </summary>
/// <param name="Snapshot">
/// The entry of the snapshot that the files began with, zero where they began with nothing. Files of a snapshot count its pieces as
/// positions until the log goes on behind it, so those of different snapshots cannot be compared.
/// </param>
/// <param name="Flushed">They hold the log up to here, at least.</param>
internal readonly record struct EngineMark(LogIndex Snapshot, LogIndex Flushed)
{
    /// <summary>Nothing is known to be needed.</summary>
    public bool IsNone => this == default;

    /// <summary>The log begins behind <paramref name="baseIndex"/>: what it has itself need not be in files.</summary>
    public static EngineMark For(LogIndex snapshot, LogPosition flushed, LogIndex baseIndex) =>
        new(snapshot, LogIndex.Least(new LogIndex(flushed.Value), baseIndex));

    public bool IsSoundFor(LogIndex baseIndex) => !IsNone && Snapshot <= baseIndex && Flushed <= baseIndex;

    /// <summary>The log has gone on since <paramref name="former"/> was said, and takes nothing of it back.</summary>
    public bool Follows(in EngineMark former) => former.IsNone || (Snapshot == former.Snapshot && Flushed >= former.Flushed);

    /// <summary>What is wrong with files that began with this snapshot and hold the log up to there; null where that is enough.</summary>
    public string? Missing(LogIndex snapshot, LogPosition flushed)
    {
        if (IsNone)
            return null;
        if (snapshot != Snapshot)
            return $"its files began with the snapshot of entry {snapshot}, and should with that of entry {Snapshot}: it is an older copy";
        return flushed.Value < Flushed.Value
            ? $"its files hold the log up to entry {flushed}, and held it up to {Flushed} before the journal let go of that: "
                + "the end of its manifest is lost, or it is an older copy"
            : null;
    }

    public void WriteTo(BytesBuffer section)
    {
        Span<byte> span = section.GetSpan(2 * Varint.MaxLength64);
        int at = Varint.Write(span, Snapshot.Value);
        at += Varint.Write(span[at..], Flushed.Value);
        section.Advance(at);
    }

    public static bool TryRead(ReadOnlySpan<byte> source, out EngineMark mark)
    {
        var numbers = new SectionNumbers(source);
        bool isWhole = numbers.TryNext(out ulong snapshot) & numbers.TryNext(out ulong flushed) && numbers.Rest.IsEmpty;
        mark = new EngineMark(new LogIndex(snapshot), new LogIndex(flushed));
        return isWhole && !mark.IsNone;
    }
}
