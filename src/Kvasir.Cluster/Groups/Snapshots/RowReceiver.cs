using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>A snapshot of rows, which are written into an engine that is there from the beginning.</summary>
internal sealed class RowReceiver(
    RaftGroup group, NodeId from, ulong stream, SnapshotHead head, IStorageEngine engine, string engineName, string folder)
    : SnapshotReceiver(group, from, stream, head, engineName, folder)
{
    private readonly WriteBatch _rows = new();
    private ulong _published;
    private bool _isTaken;
    private string? _failure;

    public override SnapshotChunkFlags Kind => SnapshotChunkFlags.None;

    public override long? BytesTotal => null;

    public override bool TakesMore => engine.SuggestWriteDelay(SnapshotContent.ChunkBytes) <= TimeSpan.Zero;

    public override bool HasFailed => engine.BackgroundFailure is not null;

    public override string? Failure => _failure ?? engine.BackgroundFailure?.Message;

    public override bool IsInFiles => IsWhole && engine.OldestUnflushedPosition is null;

    public override bool TryTake(ReadOnlySpan<byte> content, bool isLast)
    {
        Bytes += content.Length;
        _rows.Clear();
        while (SnapshotCodec.TryReadRow(ref content, out ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value, out long expiresAtMs))
        {
            // Where it comes from another engine has it.
            if (Misfit.Of(key, value, engine) is { } misfit)
            {
                _failure = $"there is {misfit}";
                return false;
            }

            _rows.Put(key, value, expiresAtMs);
        }

        if (!content.IsEmpty)
            return false;
        try
        {
            // Everything in it is committed. The positions only order the pieces: the log says what the whole stands for.
            engine.MarkStable(new LogPosition(Head.Index.Value));

            // Of no rows, too, the files say which state it is: by an operation that does nothing.
            if (isLast && _rows.Count == 0)
                _rows.DeleteRange([0], [0]);

            engine.Stage(_rows.Bytes);
            if (isLast)
                engine.AssumeDigest(Head.Digest);
            if (isLast || _published + 1 < Head.Index.Value)
                engine.Publish(new LogPosition(++_published));
            if (isLast)
                engine.Flush();
        }
        catch (StorageException e)
        {
            _failure = e.Message;
            return false;
        }

        Chunks++;
        IsWhole = isLast;
        return true;
    }

    public override IStorageEngine TakeEngine()
    {
        Check.That(IsInFiles && !_isTaken);
        _isTaken = true;
        return engine;
    }

    public override void Drop(Action? discard)
    {
        if (!_isTaken)
            engine.Dispose();
        discard?.Invoke();
    }
}
