using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>
/// A snapshot that arrives, in an engine of its own. It takes the replica's place when all of it is in files. Inside the
/// mailbox.
/// </summary>
internal sealed class SnapshotReceiver(RaftGroup group, NodeId from, ulong stream, SnapshotHead head, IStorageEngine engine, string engineName, string folder)
{
    private readonly WriteBatch _rows = new();
    private ulong _published;

    public RaftGroup Group { get; } = group;

    public NodeId From { get; } = from;

    public ulong Stream { get; } = stream;

    public SnapshotHead Head { get; } = head;

    public IStorageEngine Engine { get; } = engine;

    /// <summary>The word of its factory.</summary>
    public string EngineName { get; } = engineName;

    public string Folder { get; } = folder;

    /// <summary>Chunks that have come.</summary>
    public ulong Chunks { get; private set; }

    public bool IsWhole { get; private set; }

    public bool IsInFiles => IsWhole && Engine.OldestUnflushedPosition is null;

    public TimeSpan HeardAt { get; set; }

    /// <summary>More has come than the engine takes at the moment.</summary>
    public bool OwesAcknowledgement { get; set; }

    /// <summary>Takes the rows of the next chunk; false when they make no sense, or the engine refuses them.</summary>
    public bool TryTake(ReadOnlySpan<byte> content, bool isLast)
    {
        _rows.Clear();
        while (SnapshotCodec.TryReadRow(ref content, out ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value, out long expiresAtMs))
        {
            // Where it comes from another engine has it.
            if (Misfit.Of(key, value, Engine) is not null)
                return false;
            _rows.Put(key, value, expiresAtMs);
        }

        if (!content.IsEmpty)
            return false;
        try
        {
            // Everything in it is committed. The positions only order the pieces: the log says what the whole stands for.
            Engine.MarkStable(new LogPosition(Head.Index.Value));

            // Of no rows, too, the files say which state it is: by an operation that does nothing.
            if (isLast && _rows.Count == 0)
                _rows.DeleteRange([0], [0]);

            Engine.Stage(_rows.Bytes);
            if (isLast)
                Engine.AssumeDigest(Head.Digest);
            if (isLast || _published + 1 < Head.Index.Value)
                Engine.Publish(new LogPosition(++_published));
            if (isLast)
                Engine.Flush();
        }
        catch (StorageException)
        {
            return false;
        }

        Chunks++;
        IsWhole = isLast;
        return true;
    }
}
