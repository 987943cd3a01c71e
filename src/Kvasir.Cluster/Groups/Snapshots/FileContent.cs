using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>
/// The files of an engine's checkpoint, one behind the other: nobody looks into them on the way, which costs a small part of what rows
/// do. The first chunk says which there are; the others have their bytes.
/// </summary>
internal sealed class FileContent : SnapshotContent
{
    /// <summary>Of the first chunk, about: tens of thousands of files.</summary>
    public const int TableBytesMax = 1 << 20;

    private readonly IFileSystem _files;
    private readonly string _folder;
    private readonly string _engine;
    private readonly SnapshotFile[] _table;

    // Of each of them, among the bytes of all.
    private readonly long[] _starts;
    private readonly long _bytes;
    private long _made;

    // One at a time: there may be thousands.
    private IFile? _file;
    private int _opened = -1;

    /// <param name="files">The disk.</param>
    /// <param name="folder">Of the checkpoint. It must stay until this is disposed of.</param>
    /// <param name="engine">The word of its factory.</param>
    /// <exception cref="StorageException">They are not to be read, or there are more than the first chunk can name.</exception>
    public FileContent(IFileSystem files, string folder, string engine)
    {
        (_files, _folder, _engine) = (files, folder, engine);
        _table = [.. files.ListFiles(folder).Select(name => new SnapshotFile(name, files.FileLength(folder + "/" + name)))];
        _starts = new long[_table.Length];
        for (int i = 0; i < _table.Length; i++)
        {
            _starts[i] = _bytes;
            _bytes += _table[i].Length;
        }

        if (SnapshotCodec.FilesBytesMax(engine, _table) > TableBytesMax)
            throw new StorageException($"{folder} has {_table.Length} files, more than a snapshot of files may have");
    }

    public override SnapshotChunkFlags Kind => SnapshotChunkFlags.Files;

    public override long BytesMade => _made;

    public override long? BytesTotal => _bytes;

    public override void GoTo(ulong chunk) => _made = chunk == 0 ? 0 : ((long)chunk - 1) * ChunkBytes;

    public override bool Add(BytesBuffer to, ulong chunk)
    {
        if (chunk == 0)
        {
            SnapshotCodec.AddFiles(to, _engine, _table);
            return _bytes == 0;
        }

        long from = ((long)chunk - 1) * ChunkBytes;
        long left = Math.Min(ChunkBytes, _bytes - from);
        Check.That(left > 0, $"chunk {chunk} of {_bytes} bytes of files");
        bool isLast = from + left == _bytes;
        int at = Array.BinarySearch(_starts, from);
        for (int i = at < 0 ? ~at - 1 : at; left > 0; i++)
        {
            // Those that are empty begin where others do.
            int count = (int)Math.Min(left, _starts[i] + _table[i].Length - from);
            if (count == 0)
                continue;
            IFile file = Open(i);
            if (file.Read(to.GetSpan(count)[..count], from - _starts[i]) != count)
                throw new CorruptionException(file.Path, from - _starts[i], "it has become shorter");
            to.Advance(count);
            left -= count;
            from += count;
        }

        _made = from;
        return isLast;
    }

    public override void Dispose()
    {
        _file?.Dispose();
        _file = null;
    }

    private IFile Open(int number)
    {
        if (_file is not null && _opened == number)
            return _file;
        Dispose();
        _file = _files.Open(_folder + "/" + _table[number].Name, FileOpenMode.Read);
        _opened = number;
        return _file;
    }
}
