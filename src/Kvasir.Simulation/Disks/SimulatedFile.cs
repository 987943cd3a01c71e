using Kvasir.Storage.Files;

namespace Kvasir.Simulation.Disks;

/// <summary>An open file of a <see cref="SimulatedFileSystem"/>.</summary>
internal sealed class SimulatedFile(SimulatedFileSystem owner, string path, SimulatedInode inode, bool writable) : IFile
{
    private bool _disposed;

    public string Path { get; } = path;

    public bool Writable { get; } = writable;

    public SimulatedInode Inode
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return inode;
        }
    }

    public long Length => Inode.Current.Length;

    public int Read(Span<byte> destination, long offset) => owner.Read(this, destination, offset);

    public void Write(ReadOnlySpan<byte> source, long offset) => owner.Write(this, source, offset);

    public void Sync(SyncMode mode) => owner.Sync(this);

    public void SetLength(long length) => owner.SetLength(this, length, allocate: false);

    public void Allocate(long length) => owner.SetLength(this, length, allocate: true);

    public IFileMap? Map(long length) => owner.Map(this, length);

    public void Dispose()
    {
        if (!_disposed)
            owner.NoteClosed();
        _disposed = true;
    }
}
