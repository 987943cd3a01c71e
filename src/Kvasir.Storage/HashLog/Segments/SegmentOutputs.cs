using Kvasir.Storage.Files;

namespace Kvasir.Storage.HashLog.Segments;

/// <summary>Writes records into as many segments as it takes. What is not <see cref="KeepFiles">kept</see> is deleted with it.</summary>
internal sealed class SegmentOutputs(IFileSystem files, SegmentHandles handles, string folder, ulong identity, Func<ulong> newNumber, long segmentBytes) : IDisposable
{
    private readonly List<SegmentWriter> _writers = [];
    private readonly List<SegmentFile> _opened = [];
    private bool _kept;

    public long BytesWritten
    {
        get
        {
            long bytes = 0;
            foreach (SegmentWriter writer in _writers)
                bytes += writer.Bytes;
            return bytes;
        }
    }

    /// <summary>The number of the segment among these, and the line that leads to the record.</summary>
    public (int Segment, HintEntry Hint) Add(ulong token, uint check, in SegmentRecord record)
    {
        if (_writers.Count == 0 || _writers[^1].Bytes >= segmentBytes)
            _writers.Add(new SegmentWriter(files, folder, identity, newNumber()));
        _writers[^1].Add(token, check, record);
        return (_writers.Count - 1, _writers[^1].Last);
    }

    /// <summary>Everything is on the disk, and open for reads.</summary>
    public List<SegmentFile> Finish(ulong rank, ulong cleanedTo)
    {
        foreach (SegmentWriter writer in _writers)
            _opened.Add(SegmentFile.Open(files, handles, folder, identity, writer.Finish(rank, cleanedTo)));
        return _opened;
    }

    /// <summary>A manifest names the files, or may: they are not this one's to delete. The open segments are the caller's.</summary>
    public void KeepFiles() => _kept = true;

    public void Dispose()
    {
        foreach (SegmentWriter writer in _writers)
            writer.Dispose();
        if (_kept)
            return;
        foreach (SegmentFile segment in _opened)
            segment.Dispose();
        foreach (SegmentWriter writer in _writers)
        {
            TryDelete(LogFiles.SegmentPath(folder, writer.Number));
            TryDelete(LogFiles.HintPath(folder, writer.Number));
        }
    }

    private void TryDelete(string path)
    {
        try
        {
            if (files.FileExists(path))
                files.Delete(path);
        }
        catch (StorageException)
        {
            // No manifest names it; the next opening removes it.
        }
    }
}
