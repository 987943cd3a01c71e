using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Lsm.Manifest;

/// <summary>
/// Appends to one manifest. An edit is acknowledged after it was written and synced, and then a mark behind it written
/// and synced: a reader that finds an unreadable edit without a mark knows that nobody relied on it. After any failure
/// the file is not written again; its owner makes a new one.
/// </summary>
internal sealed class ManifestWriter : IDisposable
{
    private readonly IFile _file;
    private readonly BytesBuffer _record = new(4096);
    private readonly BytesBuffer _content = new(4096);

    private ManifestWriter(IFile file, ulong number)
    {
        _file = file;
        Number = number;
    }

    public ulong Number { get; }

    public long SizeBytes { get; private set; }

    /// <summary>Bytes of the snapshot that the manifest began with.</summary>
    public long SnapshotBytes { get; private set; }

    /// <summary>
    /// Creates a manifest that starts with <paramref name="snapshot"/> and makes CURRENT name it, durably. On an
    /// exception CURRENT may name either manifest; both tell a true state as long as neither is written again.
    /// </summary>
    public static ManifestWriter Create(IFileSystem files, string folder, ulong number, TableSetEdit snapshot)
    {
        IFile file = files.Open(TableFiles.ManifestPath(folder, number), FileOpenMode.CreateNew);
        var writer = new ManifestWriter(file, number);
        try
        {
            Span<byte> header = stackalloc byte[ManifestFormat.HeaderBytes];
            ManifestFormat.WriteManifestHeader(header, number);
            writer._record.Append(header);
            snapshot.Write(writer._content);
            ManifestFormat.AppendRecord(writer._record, ManifestFormat.EditRecord, writer._content.WrittenSpan, number, header.Length);
            // The mark may go in the same write: nothing counts before CURRENT names the file.
            ManifestFormat.AppendRecord(writer._record, ManifestFormat.MarkRecord, [], number, writer._record.Length);
            file.Write(writer._record.WrittenSpan, 0);
            file.Sync(SyncMode.Full);
            writer.SizeBytes = writer._record.Length;
            writer.SnapshotBytes = writer.SizeBytes;
            files.SyncFolder(folder);
            SwitchCurrent(files, folder, number);
            return writer;
        }
        catch
        {
            writer.Dispose();
            throw;
        }
    }

    /// <summary>Returns when the edit is durable and marked so.</summary>
    public void Append(TableSetEdit edit)
    {
        _content.Clear();
        edit.Write(_content);
        AppendRecord(ManifestFormat.EditRecord, _content.WrittenSpan);
        AppendRecord(ManifestFormat.MarkRecord, []);
    }

    public void Dispose() => _file.Dispose();

    private void AppendRecord(byte kind, ReadOnlySpan<byte> content)
    {
        _record.Clear();
        ManifestFormat.AppendRecord(_record, kind, content, Number, SizeBytes);
        _file.Write(_record.WrittenSpan, SizeBytes);
        SizeBytes += _record.Length;
        _file.Sync(SyncMode.Data);
    }

    private static void SwitchCurrent(IFileSystem files, string folder, ulong number)
    {
        Span<byte> bytes = stackalloc byte[ManifestFormat.HeaderBytes];
        ManifestFormat.WriteCurrent(bytes, number);
        AtomicFile.Replace(files, TableFiles.Join(folder, TableFiles.CurrentName), bytes);
    }
}
