using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Lsm.Manifest;

/// <summary>What a manifest's edits add up to. Tables are enumerated by number.</summary>
internal sealed class ManifestState
{
    private readonly SortedDictionary<ulong, ManifestTable> _tables = [];

    public IEnumerable<ManifestTable> Tables => _tables.Values;

    public int TableCount => _tables.Count;

    public LogPosition FlushedPosition { get; set; }

    /// <summary>Of everything up to there; unknown where no edit told it.</summary>
    public StateDigest Digest { get; set; }

    public ulong LastSequence { get; set; }

    public ulong NextFileNumber { get; set; } = 1;

    /// <summary>None where no edit told it: older folders, and engines of nobody.</summary>
    public EngineOwner Owner { get; set; }

    public bool Contains(ulong number) => _tables.ContainsKey(number);

    public void Add(ManifestTable table) => _tables.Add(table.Number, table);

    public ManifestState With(TableSetEdit edit, string path, long offset)
    {
        var next = new ManifestState
        {
            FlushedPosition = FlushedPosition,
            Digest = Digest,
            LastSequence = LastSequence,
            NextFileNumber = NextFileNumber,
            Owner = Owner,
        };
        foreach (ManifestTable table in _tables.Values)
            next._tables.Add(table.Number, table);
        next.Apply(edit, path, offset);
        return next;
    }

    /// <summary>An edit that does not fit the state is damage that the checksums did not see.</summary>
    public void Apply(TableSetEdit edit, string path, long offset)
    {
        foreach ((int level, ulong number) in edit.Removed)
        {
            if (!_tables.Remove(number, out ManifestTable? table) || table.Level != level)
                throw new CorruptionException(path, offset, $"the edit removes table {number} from level {level}, where it is not");
        }

        foreach (ManifestTable table in edit.Added)
        {
            if (!_tables.TryAdd(table.Number, table))
                throw new CorruptionException(path, offset, $"the edit adds table {table.Number}, which is there");
        }

        if (edit.FlushedPosition is { } position)
            (FlushedPosition, Digest) = (position, edit.Digest);
        LastSequence = Math.Max(LastSequence, edit.LastSequence ?? 0);
        NextFileNumber = Math.Max(NextFileNumber, edit.NextFileNumber ?? 0);
        if (!edit.Owner.IsNone)
            Owner = edit.Owner;
    }

    public TableSetEdit ToSnapshot()
    {
        var edit = new TableSetEdit
        {
            FlushedPosition = FlushedPosition,
            Digest = Digest,
            LastSequence = LastSequence,
            NextFileNumber = NextFileNumber,
            Owner = Owner,
        };
        edit.Added.AddRange(_tables.Values);
        return edit;
    }
}
