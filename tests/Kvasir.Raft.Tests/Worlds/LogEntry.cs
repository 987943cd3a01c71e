using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Tests.Worlds;

/// <summary>An entry with its bytes, as a driver keeps it.</summary>
internal sealed record LogEntry(Term Term, EntryKind Kind, string Data, Configuration? Configuration = null)
{
    public override string ToString() => Kind switch
    {
        EntryKind.NoOp => $"{Term}:no-op",
        EntryKind.Configuration => $"{Term}:{Configuration}",
        _ => $"{Term}:{Data}",
    };
}

/// <summary>A state machine's content at an index: here, all that was ever applied.</summary>
internal sealed record Image(LogIndex Index, Term Term, ConfigurationEntry Configuration, string[] State);

/// <summary>A message on its way, with what travels beside it.</summary>
internal sealed record Envelope(RaftMessage Message, LogEntry[] Entries, Image? Image = null);

/// <summary>One request to the disk with the bytes that belong to it.</summary>
internal sealed record DiskWrite(PersistRequest Request, LogEntry[] Entries, Image? Image);

/// <summary>What a crash leaves.</summary>
internal sealed class DurableState
{
    public HardState HardState { get; private set; }

    public Image Base { get; set; } = new(LogIndex.Zero, Term.Zero, new(LogIndex.Zero, Term.Zero, Configuration.Empty), []);

    public List<LogEntry> Entries { get; } = [];

    public LogIndex LastIndex => Base.Index + (ulong)Entries.Count;

    public void Write(DiskWrite write)
    {
        HardState = write.Request.HardState;
        if (write.Request.ResetsLog)
        {
            Base = write.Image!;
            Entries.Clear();
        }

        if (write.Request.TruncateFrom > LogIndex.Zero)
            Drop(write.Request.TruncateFrom);
        if (!write.Request.HasEntries)
            return;
        Drop(write.Request.First);
        Entries.AddRange(write.Entries);
    }

    /// <summary>The state up to here is on the disk as an image; the log before it goes.</summary>
    public void Compact(Image image)
    {
        if (image.Index <= Base.Index)
            return;
        Entries.RemoveRange(0, (int)(image.Index - Base.Index));
        Base = image;
    }

    public RaftRecovery Recovery(MemberId id)
    {
        var terms = new List<TermRun>();
        var configurations = new List<ConfigurationEntry> { Base.Configuration };
        for (int i = 0; i < Entries.Count; i++)
        {
            LogIndex index = Base.Index + (ulong)(i + 1);
            if (terms.Count == 0 || terms[^1].Term != Entries[i].Term)
                terms.Add(new TermRun(index, Entries[i].Term));
            if (Entries[i].Configuration is { } configuration)
                configurations.Add(new ConfigurationEntry(index, Entries[i].Term, configuration));
        }

        return new RaftRecovery
        {
            Id = id,
            HardState = HardState,
            SnapshotIndex = Base.Index,
            SnapshotTerm = Base.Term,
            Terms = terms,
            LastIndex = LastIndex,
            AppliedIndex = Base.Index,
            Configurations = configurations,
        };
    }

    private void Drop(LogIndex from)
    {
        int keep = (int)(from.Previous - Base.Index);
        if (keep < Entries.Count)
            Entries.RemoveRange(keep, Entries.Count - keep);
    }
}
