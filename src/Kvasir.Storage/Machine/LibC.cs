using System.Runtime.InteropServices;

namespace Kvasir.Storage.Machine;

/// <summary>
/// The system calls that a durable store needs and that the platform's classes hide or, where a sync fails, swallow
/// (<c>FileStream.Flush(true)</c> and <c>RandomAccess.FlushToDisk</c> return normally on runtime 10.0.12).
/// Constants are those of Linux on x64 and arm64.
/// </summary>
internal static partial class LibC
{
    public const int OpenReadOnly = 0;
    public const int OpenReadWrite = 2;
    public const int OpenCreate = 0x40;
    public const int OpenExclusive = 0x80;
    public const int OpenNonBlocking = 0x800;
    public const int OpenCloseOnExec = 0x80000;

    public const int LockExclusive = 2;
    public const int LockNonBlocking = 4;
    public const int Unlock = 8;

    public const int NoEntry = 2;
    public const int Interrupted = 4;
    public const int InputOutput = 5;
    public const int TryAgain = 11;
    public const int AccessDenied = 13;
    public const int CrossDevice = 18;
    public const int NotADirectory = 20;
    public const int Invalid = 22;
    public const int TooManyOpenFiles = 24;
    public const int NoSpace = 28;
    public const int IllegalSeek = 29;
    public const int ReadOnlyDisk = 30;
    public const int NotSupported = 95;
    public const int QuotaExceeded = 122;

    /// <summary>Files that this process may have open: the limit that the runtime has raised as far as it may.</summary>
    public static unsafe long OpenFilesMax()
    {
        const int OpenFiles = 7;
        ulong* limit = stackalloc ulong[2];
        return GetLimit(OpenFiles, limit) != 0 || limit[0] > long.MaxValue ? long.MaxValue : (long)limit[0];
    }

    [LibraryImport("libc", EntryPoint = "getrlimit", SetLastError = true)]
    private static unsafe partial int GetLimit(int resource, ulong* limit);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Open(string path, int flags, uint mode);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    public static partial int Close(int file);

    [LibraryImport("libc", EntryPoint = "pread", SetLastError = true)]
    public static unsafe partial nint ReadAt(int file, byte* buffer, nint count, long offset);

    [LibraryImport("libc", EntryPoint = "pwrite", SetLastError = true)]
    public static unsafe partial nint WriteAt(int file, byte* buffer, nint count, long offset);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    public static partial int Sync(int file);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    public static partial int SyncData(int file);

    /// <summary>SYNC_FILE_RANGE_WRITE.</summary>
    public const uint WriteRange = 2;

    [LibraryImport("libc", EntryPoint = "sync_file_range", SetLastError = true)]
    public static partial int SyncRange(int file, long offset, long length, uint flags);

    [LibraryImport("libc", EntryPoint = "ftruncate", SetLastError = true)]
    public static partial int Truncate(int file, long length);

    [LibraryImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    public static partial int Allocate(int file, int mode, long offset, long length);

    public const int ProtectRead = 1;
    public const int ProtectWrite = 2;
    public const int ProtectExecute = 4;
    public const int MapShared = 1;
    public const int MapPrivate = 2;
    public const int MapAnonymous = 0x20;

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    public static unsafe partial nint Map(void* address, nuint length, int protection, int flags, int file, long offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    public static unsafe partial int Unmap(void* address, nuint length);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    public static unsafe partial int Protect(void* address, nuint length, int protection);

    /// <summary>SIGBUS.</summary>
    public const int BusError = 7;
    public const nint SignalDefault = 0;
    public const nint SignalIgnored = 1;

    /// <summary>SA_SIGINFO.</summary>
    public const int SignalInformation = 4;

    /// <summary>struct sigaction of glibc and musl: the handler, 128 bytes of mask, the flags, a restorer.</summary>
    public const int SignalActionBytes = 152;
    public const int SignalActionFlags = 136;

    [LibraryImport("libc", EntryPoint = "sigaction", SetLastError = true)]
    public static unsafe partial int SignalAction(int signal, byte* action, byte* before);

    public const int FutexWaitPrivate = 128;
    public const int FutexWakePrivate = 129;

    /// <summary>futex(2) without a time-out; the number is that of the processor.</summary>
    [LibraryImport("libc", EntryPoint = "syscall")]
    public static unsafe partial nint Futex(nint number, int* word, int operation, int value, nint timeout);

    [LibraryImport("libc", EntryPoint = "lseek", SetLastError = true)]
    public static partial long Seek(int file, long offset, int origin);

    [LibraryImport("libc", EntryPoint = "flock", SetLastError = true)]
    public static partial int Lock(int file, int operation);

    [LibraryImport("libc", EntryPoint = "rename", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Rename(string source, string target);

    [LibraryImport("libc", EntryPoint = "link", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Link(string source, string target);

    /// <summary>With mode 0: whether the name leads to something.</summary>
    [LibraryImport("libc", EntryPoint = "access", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Access(string path, int mode);

    public const int AtWorkingFolder = -100;

    /// <summary>AT_EMPTY_PATH: of the open file itself.</summary>
    public const int OfOpenFile = 0x1000;

    /// <summary>STATX_INO.</summary>
    public const uint InodeWanted = 0x100;

    /// <summary>struct statx, which is the same everywhere.</summary>
    public const int StatusBytes = 256;
    public const int StatusInode = 32;
    public const int StatusDevice = 136;

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static unsafe partial int Status(int folder, string path, int flags, uint wanted, byte* status);

    [LibraryImport("libc", EntryPoint = "unlink", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Unlink(string path);

    [LibraryImport("libc", EntryPoint = "rmdir", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int RemoveFolder(string path);

    /// <summary>With 0, 0: the calling thread's niceness, since Linux keeps one for each thread.</summary>
    [LibraryImport("libc", EntryPoint = "setpriority", SetLastError = true)]
    public static partial int SetPriority(int which, int who, int niceness);
}
