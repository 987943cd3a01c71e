using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>
/// The files of an engine's checkpoint, one behind the other: nobody looks into them on the way, which costs a small part of what rows
/// do. The first chunk says which there are; the others have their bytes.
/// </summary>
internal sealed class FileContent : SnapshotContent
{
    private readonly IFileSystem _files;
    private readonly string _folder;
    private readonly string _engine;
    private readonly List<SnapshotFile> _table;
    private readonly long _bytes;

    // One at a time: there may be thousands.
    private IFile? _file;
    private int _opened = -1;

    /// <param name="files">The disk.</param>
    /// <param name="folder">Of the checkpoint. It must stay until this is disposed of.</param>
    /// <param name="engine">The word of its factory.</param>
    public FileContent(IFileSystem files, string folder, string engine)
    {
        (_files, _folder, _engine) = (files, folder, engine);
        _table = [.. files.ListFiles(folder).Select(name => new SnapshotFile(name, files.FileLength(folder + "/" + name)))];
        _bytes = _table.Sum(static f => f.Length);
    }

    public override SnapshotChunkFlags Kind => SnapshotChunkFlags.Files;

    public override void GoTo(ulong chunk)
    {
    }

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
        for (int i = 0; left > 0; i++)
        {
            long length = _table[i].Length;
            if (from >= length)
            {
                from -= length;
                continue;
            }

            int count = (int)Math.Min(left, length - from);
            IFile file = Open(i);
            if (file.Read(to.GetSpan(count)[..count], from) != count)
                throw new CorruptionException(file.Path, from, "it has become shorter");
            to.Advance(count);
            left -= count;
            from = 0;
        }

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
