using Kvasir.Primitives;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.HashLog.Segments;

/// <summary>
/// The files of segments that an engine has open, at most a fixed number. Beyond it one that was not used lately is closed (the clock
/// algorithm), and opened again when it is needed; whoever reads it finishes first. Thread-safe.
/// </summary>
internal sealed class SegmentHandles(IFileSystem files, int openMax)
{
    private readonly Lock _lock = new();
    private readonly List<SegmentFile> _open = [];
    private int _hand;

    public int OpenCount
    {
        get
        {
            lock (_lock)
                return _open.Count;
        }
    }

    /// <summary>The segment's file, with a reference for the caller.</summary>
    public SegmentHandle Open(SegmentFile segment)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(segment.IsClosed, segment);
            if (segment.Handle is { } present && present.TryAddReference())
                return present;
            while (_open.Count >= Math.Max(openMax, 1))
                CloseOne();
            var handle = new SegmentHandle(files.Open(segment.Path, FileOpenMode.Read));
            Check.That(handle.TryAddReference());
            segment.IsRecentlyUsed = true;
            segment.Handle = handle;
            _open.Add(segment);
            return handle;
        }
    }

    /// <summary>Nobody will read the segment any more.</summary>
    public void Close(SegmentFile segment)
    {
        lock (_lock)
        {
            segment.IsClosed = true;
            int at = _open.IndexOf(segment);
            if (at >= 0)
                CloseAt(at);
        }
    }

    private void CloseOne()
    {
        while (true)
        {
            if (_hand >= _open.Count)
                _hand = 0;
            if (!_open[_hand].IsRecentlyUsed)
                break;
            _open[_hand++].IsRecentlyUsed = false;
        }

        CloseAt(_hand);
    }

    private void CloseAt(int at)
    {
        SegmentFile segment = _open[at];
        _open[at] = _open[^1];
        _open.RemoveAt(_open.Count - 1);
        SegmentHandle handle = segment.Handle!;
        segment.Handle = null;
        handle.Release();
    }
}

/// <summary>An open file, closed when the last who holds it lets go.</summary>
internal sealed class SegmentHandle(IFile file)
{
    private ReferenceCount _references = new(1);

    public IFile File => file;

    public bool TryAddReference() => _references.TryAdd();

    public void Release()
    {
        if (_references.Release())
            file.Dispose();
    }
}
