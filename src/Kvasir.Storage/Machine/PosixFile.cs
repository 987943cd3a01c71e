using System.Runtime.InteropServices;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Machine;

/// <summary>An open file of the machine.</summary>
internal sealed class PosixFile : IFile, IFileLock
{
    private readonly Descriptor _descriptor;

    public PosixFile(string path, int descriptor)
    {
        Path = path;
        _descriptor = new Descriptor(descriptor);
    }

    public string Path { get; }

    public long Length
    {
        get
        {
            using DescriptorUse use = new(_descriptor);
            long length = LibC.Seek(use.Number, 0, origin: 2);
            if (length < 0)
                throw PosixErrors.Last("lseek", Path);
            return length;
        }
    }

    public unsafe int Read(Span<byte> destination, long offset)
    {
        using DescriptorUse use = new(_descriptor);
        int done = 0;
        fixed (byte* start = destination)
        {
            while (done < destination.Length)
            {
                nint read = LibC.ReadAt(use.Number, start + done, destination.Length - done, offset + done);
                if (read == 0)
                    break;
                if (read > 0)
                    done += (int)read;
                else if (!PosixErrors.WasInterrupted())
                    throw PosixErrors.Last("read", Path);
            }
        }

        return done;
    }

    public unsafe void Write(ReadOnlySpan<byte> source, long offset)
    {
        using DescriptorUse use = new(_descriptor);
        int done = 0;
        fixed (byte* start = source)
        {
            while (done < source.Length)
            {
                nint written = LibC.WriteAt(use.Number, start + done, source.Length - done, offset + done);
                if (written > 0)
                    done += (int)written;
                else if (written == 0)
                    throw PosixErrors.For("write", Path, LibC.InputOutput);
                else if (!PosixErrors.WasInterrupted())
                    throw PosixErrors.LastWrite(Path, done);
            }
        }
    }

    public void Sync(SyncMode mode)
    {
        using DescriptorUse use = new(_descriptor);
        if (mode == SyncMode.Data)
        {
            while (LibC.SyncData(use.Number) != 0)
            {
                if (!PosixErrors.WasInterrupted())
                    throw PosixErrors.Last("fdatasync", Path);
            }
        }
        else
        {
            SyncFull(use.Number, Path);
        }
    }

    public void BeginWriteBack(long offset, long length)
    {
        if (!OperatingSystem.IsLinux())
            return;
        using DescriptorUse use = new(_descriptor);
        // Nothing is known of the outcome: an error of the disk stays with the file and is told by its next sync.
        _ = LibC.SyncRange(use.Number, offset, length, LibC.WriteRange);
    }

    public void SetLength(long length)
    {
        using DescriptorUse use = new(_descriptor);
        while (LibC.Truncate(use.Number, length) != 0)
        {
            if (!PosixErrors.WasInterrupted())
                throw PosixErrors.Last("ftruncate", Path);
        }
    }

    public void Allocate(long length)
    {
        if (length <= 0)
            return;
        using DescriptorUse use = new(_descriptor);
        while (LibC.Allocate(use.Number, mode: 0, 0, length) != 0)
        {
            if (PosixErrors.WasInterrupted())
                continue;

            // Without support in the file system there is no reservation other than writing; callers that must not
            // run out of space later write zeros themselves.
            if (Marshal.GetLastPInvokeError() != LibC.NotSupported)
                throw PosixErrors.Last("fallocate", Path);
            if (Length < length)
                SetLength(length);
            return;
        }
    }

    public unsafe IFileMap? Map(long length)
    {
        using DescriptorUse use = new(_descriptor);
        nint start = LibC.Map(null, (nuint)length, LibC.ProtectRead, LibC.MapShared, use.Number, 0);
        if (start == -1)
            throw PosixErrors.Last("mmap", Path);
        long* broken = BusErrorGuard.TryGuard((byte*)start, length);
        if (broken is not null)
            return new PosixFileMap((byte*)start, length, broken);
        Check.That(LibC.Unmap((void*)start, (nuint)length) == 0);
        return null;
    }

    public bool IsInPlace
    {
        get
        {
            using DescriptorUse use = new(_descriptor);
            return IdentityOf(use.Number, "", LibC.OfOpenFile) is not { } opened
                || (IdentityOf(LibC.AtWorkingFolder, Path, flags: 0) is { } found
                    ? found == opened
                    : Marshal.GetLastPInvokeError() is not (LibC.NoEntry or LibC.NotADirectory));
        }
    }

    /// <summary>
    /// Takes the lock of the file, once, without waiting. False: somebody else has it, and the system's last error says so. It is given
    /// back when the file is closed.
    /// </summary>
    public bool TryLock()
    {
        using DescriptorUse use = new(_descriptor);
        return _descriptor.IsLocked = LibC.Lock(use.Number, LibC.LockExclusive | LibC.LockNonBlocking) == 0;
    }

    public void Dispose() => _descriptor.Dispose();

    // While a file is open its inode's number is nobody else's.
    private static unsafe (ulong Inode, ulong Device)? IdentityOf(int folder, string path, int flags)
    {
        byte* status = stackalloc byte[LibC.StatusBytes];
        while (LibC.Status(folder, path, flags, LibC.InodeWanted, status) != 0)
        {
            if (!PosixErrors.WasInterrupted())
                return null;
        }

        return (*(ulong*)(status + LibC.StatusInode), *(ulong*)(status + LibC.StatusDevice));
    }

    public static void SyncFull(int descriptor, string path)
    {
        while (LibC.Sync(descriptor) != 0)
        {
            if (!PosixErrors.WasInterrupted())
                throw PosixErrors.Last("fsync", path);
        }
    }

    /// <summary>
    /// Keeps the number of a closed file from being used: the system hands it out again at once, and a late read or
    /// write would hit another file.
    /// </summary>
    internal sealed class Descriptor : SafeHandle
    {
        public Descriptor(int number) : base(-1, ownsHandle: true) => SetHandle(number);

        public override bool IsInvalid => handle < 0;

        public bool IsLocked { get; set; }

        // The lock is the open file's, and closing lets go of it only with the last number that stands for it: a process that is just
        // being started has all of ours until it runs its program, so that "closed" would still be "in use" for that long.
        // Errors of close are not looked at: what had to be on disk was synced, and the number is free either way.
        protected override bool ReleaseHandle()
        {
            if (IsLocked)
                _ = LibC.Lock((int)handle, LibC.Unlock);
            _ = LibC.Close((int)handle);
            return true;
        }
    }

    /// <summary>Holds a descriptor open for the length of one call.</summary>
    private readonly ref struct DescriptorUse
    {
        private readonly Descriptor _descriptor;

        public DescriptorUse(Descriptor descriptor)
        {
            bool added = false;
            descriptor.DangerousAddRef(ref added);
            Check.That(added);
            _descriptor = descriptor;
        }

        public int Number => (int)_descriptor.DangerousGetHandle();

        public void Dispose() => _descriptor.DangerousRelease();
    }
}
