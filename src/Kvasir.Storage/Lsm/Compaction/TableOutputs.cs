using Kvasir.Primitives;
using Kvasir.Storage.Buffered;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm.Manifest;
using Kvasir.Storage.Lsm.SSTables;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Lsm.Compaction;

/// <summary>
/// Writes ordered entries into as many tables as they need. Disposed without <see cref="Finish"/>, it removes what it
/// wrote.
/// </summary>
internal sealed class TableOutputs : IDisposable
{
    // Some tenths of a millisecond of work.
    private const int LookAfterBytes = 64 << 10;

    private readonly IFileSystem _files;
    private readonly string _folder;
    private readonly Func<ulong> _newNumber;
    private readonly SSTableWriterOptions _options;
    private readonly Func<byte[], byte[]?, List<RangeTombstone>> _tombstones;
    private readonly int _level;
    private readonly WorkPace? _pace;
    private readonly List<ManifestTable> _finished = [];
    private readonly List<ulong> _created = [];
    private SSTableWriter? _writer;
    private byte[] _start = [];
    private long _burstBegun;
    private long _bytesSinceLook;
    private bool _done;

    /// <param name="tombstones">The range tombstones of [start, end), cut to it.</param>
    /// <param name="pace">Null for as fast as can be: somebody waits.</param>
    public TableOutputs(
        IFileSystem files, string folder, int level, Func<ulong> newNumber, SSTableWriterOptions options,
        Func<byte[], byte[]?, List<RangeTombstone>> tombstones, WorkPace? pace = null)
    {
        _pace = pace;
        _burstBegun = pace?.Begin() ?? 0;
        _files = files;
        _folder = folder;
        _level = level;
        _newNumber = newNumber;
        _options = options;
        _tombstones = tombstones;
    }

    /// <summary>Bytes of the table being written; 0 between tables.</summary>
    public long CurrentBytes => _writer?.SizeBytes ?? 0;

    public long BytesWritten { get; private set; }

    public void Add(ReadOnlySpan<byte> userKey, Trailer trailer, long expiresAtMs, ReadOnlySpan<byte> value)
    {
        (_writer ?? Start()).Add(userKey, trailer, expiresAtMs, value);
        _bytesSinceLook += userKey.Length + value.Length;
        if (_bytesSinceLook < LookAfterBytes)
            return;
        _bytesSinceLook = 0;
        _pace?.Rest(isFlush: _level == 0, ref _burstBegun);
    }

    /// <summary>Ends the table before <paramref name="nextKey"/>, of which nothing was added yet.</summary>
    public void Split(ReadOnlySpan<byte> nextKey)
    {
        byte[] end = nextKey.ToArray();
        FinishTable(end);
        _start = end;
    }

    /// <summary>The tables, synced with their names.</summary>
    public List<ManifestTable> Finish()
    {
        FinishTable(end: null);
        if (_finished.Count > 0)
            _files.SyncFolder(_folder);
        _done = true;
        return _finished;
    }

    public void Dispose()
    {
        _writer?.Dispose();
        _writer = null;
        if (_done)
            return;
        foreach (ulong number in _created)
        {
            try
            {
                _files.Delete(TableFiles.TablePath(_folder, number));
            }
            catch (StorageException)
            {
                // No manifest names it; the next opening removes it.
            }
        }
    }

    private SSTableWriter Start()
    {
        ulong number = _newNumber();
        _created.Add(number);
        _writer = new SSTableWriter(_files, TableFiles.TablePath(_folder, number), number, _options);
        return _writer;
    }

    private void FinishTable(byte[]? end)
    {
        List<RangeTombstone> tombstones = _tombstones(_start, end);
        if (_writer is null && tombstones.Count == 0)
            return;
        SSTableWriter writer = _writer ?? Start();
        TableProperties properties = writer.Finish(tombstones);
        _finished.Add(new ManifestTable(_level, writer.Number, writer.FinishedBytes, properties));
        BytesWritten += writer.FinishedBytes;
        writer.Dispose();
        _writer = null;
    }
}
