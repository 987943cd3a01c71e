using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Simulation.Clusters;

/// <summary>
/// The disk of one member: what is durable of its log, and the writes that are not yet. Each is one record, whole on the disk
/// or not there at all; a crash lets the first few of those under way survive unreported.
/// </summary>
internal sealed class RaftDisk(Configuration founding)
{
    private static readonly SimulatedImage s_nothing =
        new(LogIndex.Zero, Term.Zero, new ConfigurationEntry(LogIndex.Zero, Term.Zero, Configuration.Empty), 0, []);

    private readonly Queue<DiskWrite> _writes = new();

    public HardState HardState { get; private set; }

    public SimulatedImage Base { get; private set; } =
        s_nothing with { Configuration = new ConfigurationEntry(LogIndex.Zero, Term.Zero, founding) };

    public List<SimulatedEntry> Entries { get; } = [];

    public LogIndex LastIndex => Base.Index + (ulong)Entries.Count;

    public int WritesPending => _writes.Count;

    public void Begin(in PersistRequest request, SimulatedEntry[] entries, SimulatedImage? image) =>
        _writes.Enqueue(new DiskWrite(request, entries, image));

    /// <summary>The oldest write is durable.</summary>
    public WriteNumber Complete()
    {
        (PersistRequest request, SimulatedEntry[] entries, SimulatedImage? image) = _writes.Dequeue();
        HardState = request.HardState;
        if (request.ResetsLog)
        {
            Base = image!;
            Entries.Clear();
        }

        if (request.TruncateFrom > LogIndex.Zero)
            Drop(request.TruncateFrom);
        if (request.HasEntries)
        {
            Drop(request.First);
            Check.That(LastIndex.Next == request.First, $"entries from {request.First} on behind {LastIndex}");
            Entries.AddRange(entries);
        }

        return request.Write;
    }

    public void Crash(int survivors)
    {
        while (survivors-- > 0 && _writes.Count > 0)
            Complete();
        _writes.Clear();
    }

    /// <summary>The state up to here is on the disk; the log before it goes. For entries that are durable.</summary>
    public void Compact(SimulatedImage image)
    {
        Entries.RemoveRange(0, (int)(image.Index - Base.Index));
        Base = image;
    }

    /// <summary>Whether what is durable holds the entry, or a snapshot of what it did.</summary>
    public bool Holds(LogIndex index, Term term) =>
        index <= Base.Index || (index <= LastIndex && Entries[(int)(index - Base.Index) - 1].Term == term);

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

    private sealed record DiskWrite(PersistRequest Request, SimulatedEntry[] Entries, SimulatedImage? Image);
}
