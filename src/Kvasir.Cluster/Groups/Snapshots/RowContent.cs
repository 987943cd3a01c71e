using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>The rows of an engine that were stable when it began, in its order: whatever engine there is can take them.</summary>
internal sealed class RowContent : SnapshotContent
{
    private readonly EngineScan _rows;

    // Where the last few chunks began: the same view cut into the same pieces again.
    private readonly BytesBuffer?[] _beginnings = new BytesBuffer?[SnapshotSender.Window];

    // And how many bytes lay before them.
    private readonly long[] _before = new long[SnapshotSender.Window];
    private long _made;

    public RowContent(IStorageEngine engine)
    {
        _rows = engine.CreateScan(new IteratorOptions { View = ReadView.Stable, IncludeExpired = true, BypassCache = true });
        try
        {
            _rows.SeekToFirst();
        }
        catch
        {
            _rows.Dispose();
            throw;
        }
    }

    public override SnapshotChunkFlags Kind => SnapshotChunkFlags.None;

    public override long BytesMade => _made;

    public override long? BytesTotal => null;

    public override void GoTo(ulong chunk)
    {
        _made = _before[chunk % SnapshotSender.Window];
        if (chunk == 0)
            _rows.SeekToFirst();
        else
            _rows.Seek(_beginnings[chunk % SnapshotSender.Window]!.WrittenSpan);
    }

    public override bool Add(BytesBuffer to, ulong chunk)
    {
        BytesBuffer beginning = _beginnings[chunk % SnapshotSender.Window] ??= new BytesBuffer(64);
        beginning.Clear();
        _before[chunk % SnapshotSender.Window] = _made;
        int head = to.Length;
        if (_rows.Valid)
            beginning.Append(_rows.Key);
        for (; _rows.Valid && to.Length < ChunkBytes; _rows.Next())
            SnapshotCodec.AddRow(to, _rows.Key, _rows.Value, _rows.ExpiresAtMs);
        _made += to.Length - head;
        return !_rows.Valid;
    }

    public override void Dispose() => _rows.Dispose();
}
