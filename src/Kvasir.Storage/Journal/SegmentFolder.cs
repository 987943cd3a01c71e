using System.Globalization;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Journal;

/// <summary>
/// The files of one journal folder: segments <c>00000000000000000001.segment</c>, spare files that are complete and only
/// need a header (<c>….spare</c>), and files still being made (<c>….making</c>, worthless after a restart).
/// </summary>
internal sealed class SegmentFolder
{
    private const string SegmentSuffix = ".segment";
    private const string SpareSuffix = ".spare";
    private const string MakingSuffix = ".making";
    private const int ZeroBytes = 1 << 20;

    private static readonly byte[] s_zeros = new byte[ZeroBytes];

    private readonly IFileSystem _files;
    private readonly string _path;
    private readonly Lock _lock = new();
    private readonly SortedDictionary<ulong, long> _spares = [];

    // Of the longest spare; asked for with every commit, where walking the dictionary would allocate.
    private long _longestSpare;
    private ulong _nextFile = 1;

    public SegmentFolder(IFileSystem files, string path)
    {
        _files = files;
        _path = path;
    }

    public int SpareCount
    {
        get { lock (_lock) return _spares.Count; }
    }

    public string PathOf(ulong sequence) =>
        $"{_path}/{sequence.ToString("D20", CultureInfo.InvariantCulture)}{SegmentSuffix}";

    /// <summary>Sequence numbers of the segments, ascending.</summary>
    public static List<ulong> ListSegments(IFileSystem files, string folder)
    {
        List<ulong> sequences = [];
        foreach (string name in files.ListFiles(folder))
        {
            if (TryParse(name, SegmentSuffix, out ulong sequence))
                sequences.Add(sequence);
        }

        sequences.Sort();
        return sequences;
    }

    public IFile OpenSegment(ulong sequence) => _files.Open(PathOf(sequence), FileOpenMode.Read);

    /// <summary>Makes the folder, learns its spares, and clears away what a crash left half made.</summary>
    public List<ulong> Open()
    {
        _files.CreateFolder(_path);
        foreach (string name in _files.ListFiles(_path))
        {
            if (name.EndsWith(MakingSuffix, StringComparison.Ordinal))
            {
                _files.Delete($"{_path}/{name}");
            }
            else if (TryParse(name, SpareSuffix, out ulong number))
            {
                AddSpareLocked(number, _files.FileLength($"{_path}/{name}"));
                _nextFile = Math.Max(_nextFile, number + 1);
            }
        }

        return ListSegments(_files, _path);
    }

    public bool HasSpare(long length)
    {
        return Volatile.Read(ref _longestSpare) >= length;
    }

    /// <summary>
    /// Makes a file of zeros. <paramref name="written"/>: block by block, so that a later write changes neither length nor
    /// extents and its sync is one disk write; that costs writing everything twice, which pays only where syncs are
    /// many. Otherwise the blocks are only reserved. Fails without a trace when the disk is full.
    /// </summary>
    public void MakeSpare(long length, bool written)
    {
        ulong number;
        lock (_lock)
            number = _nextFile++;
        string making = $"{_path}/{number.ToString("D20", CultureInfo.InvariantCulture)}{MakingSuffix}";
        try
        {
            using (IFile file = _files.Open(making, FileOpenMode.CreateNew))
            {
                file.Allocate(length);
                for (long offset = 0; written && offset < length; offset += ZeroBytes)
                    file.Write(s_zeros.AsSpan(0, (int)Math.Min(ZeroBytes, length - offset)), offset);
                file.Sync(SyncMode.Full);
            }

            _files.Rename(making, SparePath(number));
        }
        catch (DiskFullException)
        {
            if (_files.FileExists(making))
                _files.Delete(making);
            throw;
        }

        lock (_lock)
            AddSpareLocked(number, length);
    }

    /// <summary>
    /// Turns a spare into the segment of this header, durably. What was there under the segment's name is replaced.
    /// </summary>
    public IFile Activate(in SegmentHeader header, long minimumLength)
    {
        (ulong number, long length) = TakeSpare(minimumLength);
        string spare = SparePath(number);
        IFile file = _files.Open(spare, FileOpenMode.ReadWrite);
        try
        {
            file.Write((header with { FileLength = length }).Encode(), 0);
            file.Sync(SyncMode.Full);
            _files.Rename(spare, PathOf(header.Sequence));
            _files.SyncFolder(_path);
            return new SegmentFile(file, PathOf(header.Sequence));
        }
        catch (DiskFullException)
        {
            // Even a header or a name may find no room on some file systems. Tried again later, with the same file.
            file.Dispose();
            if (_files.FileExists(spare))
            {
                lock (_lock)
                    AddSpareLocked(number, length);
            }

            throw;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Removes a segment, the oldest first, or keeps its file as a spare. Durable on return: segments must vanish in
    /// order, and a spare must have lost its old name before it gets a new header.
    /// </summary>
    public void Remove(ulong sequence, long recycleFromLength, int sparesMax)
    {
        string path = PathOf(sequence);
        long length = _files.FileLength(path);
        if (length >= recycleFromLength && SpareCount < sparesMax)
        {
            ulong number;
            lock (_lock)
                number = _nextFile++;
            _files.Rename(path, SparePath(number));
            _files.SyncFolder(_path);
            lock (_lock)
                AddSpareLocked(number, length);
            return;
        }

        _files.Delete(path);
        _files.SyncFolder(_path);
    }

    /// <summary>Deletes the spares, for the room they take. One that cannot be deleted is left: it is a spare after the next opening.</summary>
    public void DeleteSpares()
    {
        ulong[] numbers;
        lock (_lock)
        {
            numbers = [.. _spares.Keys];
            _spares.Clear();
            NoteLongestLocked();
        }

        foreach (ulong number in numbers)
        {
            try
            {
                _files.Delete(SparePath(number));
            }
            catch (StorageException)
            {
                // Nothing in it, nothing lost.
            }
        }
    }

    private static bool TryParse(string name, string suffix, out ulong number)
    {
        number = 0;
        return name.EndsWith(suffix, StringComparison.Ordinal)
            && ulong.TryParse(name.AsSpan(0, name.Length - suffix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out number);
    }

    private string SparePath(ulong number) => $"{_path}/{number.ToString("D20", CultureInfo.InvariantCulture)}{SpareSuffix}";

    private void AddSpareLocked(ulong number, long length)
    {
        _spares.Add(number, length);
        NoteLongestLocked();
    }

    private void NoteLongestLocked()
    {
        long longest = 0;
        foreach (long length in _spares.Values)
            longest = Math.Max(longest, length);
        Volatile.Write(ref _longestSpare, longest);
    }

    private (ulong Number, long Length) TakeSpare(long minimumLength)
    {
        lock (_lock)
        {
            foreach ((ulong number, long length) in _spares)
            {
                if (length < minimumLength)
                    continue;
                _spares.Remove(number);
                NoteLongestLocked();
                return (number, length);
            }
        }

        throw new InvariantViolationException($"there is no spare segment of {minimumLength} bytes");
    }

    /// <summary>A file under the name it got after it was opened, so that errors name what is there.</summary>
    private sealed class SegmentFile(IFile inner, string path) : IFile
    {
        public string Path { get; } = path;

        public long Length => inner.Length;

        public int Read(Span<byte> destination, long offset) => inner.Read(destination, offset);

        public void Write(ReadOnlySpan<byte> source, long offset)
        {
            try
            {
                inner.Write(source, offset);
            }
            catch (DiskFailedException e)
            {
                throw e.Under(Path);
            }
        }

        public void Sync(SyncMode mode)
        {
            try
            {
                inner.Sync(mode);
            }
            catch (DiskFailedException e)
            {
                throw e.Under(Path);
            }
        }

        public void SetLength(long length) => inner.SetLength(length);

        public void Allocate(long length) => inner.Allocate(length);

        public void Dispose() => inner.Dispose();
    }
}
