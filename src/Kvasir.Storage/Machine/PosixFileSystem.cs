using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Machine;

/// <summary>The machine's own disk, through libc.</summary>
public sealed class PosixFileSystem : IFileSystem
{
    // For a holder that was killed and is being taken down by the system.
    private const int LockWaitMs = 5000;
    private const int LockLookMs = 5;

    private const uint FileMode = 0b110_100_100;

    public IFile Open(string path, FileOpenMode mode)
    {
        int flags = mode switch
        {
            // A pipe in a file's place would wait for a writer for ever.
            FileOpenMode.Read => LibC.OpenReadOnly | LibC.OpenNonBlocking,
            FileOpenMode.ReadWrite => LibC.OpenReadWrite,
            _ => LibC.OpenReadWrite | LibC.OpenCreate | LibC.OpenExclusive,
        };
        int number = OpenDescriptor(path, flags);
        if (LibC.Seek(number, 0, origin: 1) < 0)
        {
            int error = Marshal.GetLastPInvokeError();
            _ = LibC.Close(number);
            throw error == LibC.IllegalSeek ? new DiskFailedException("open", path, "it is not a regular file") : PosixErrors.For("lseek", path, error);
        }

        return new PosixFile(path, number);
    }

    // The platform's own answer "no" to every error, and what cannot be looked at would be taken for missing.
    public bool FileExists(string path) => Exists(path) && !FolderExists(path);

    public bool FolderExists(string path) => Exists(path + "/.");

    public long FileLength(string path)
    {
        using IFile file = Open(path, FileOpenMode.Read);
        return file.Length;
    }

    public void Delete(string path)
    {
        if (LibC.Unlink(path) != 0)
            throw PosixErrors.Last("unlink", path);
    }

    public void Rename(string source, string target)
    {
        if (LibC.Rename(source, target) != 0)
            throw PosixErrors.Last("rename", source);
    }

    public void HardLink(string source, string target)
    {
        if (LibC.Link(source, target) == 0)
            return;
        throw Marshal.GetLastPInvokeError() == LibC.CrossDevice
            ? new OtherFileSystemException($"{target} lies on another file system than {source}: a hard link does not reach it")
            : PosixErrors.Last("link", source);
    }

    public void CreateFolder(string path)
    {
        string full = Path.GetFullPath(path);
        if (FolderExists(full))
            return;
        if (Exists(full))
            throw new StorageException($"{full} is a file, and a folder is needed there: name another place, or move the file away");
        string? parent = Path.GetDirectoryName(full);
        if (parent is not null)
            CreateFolder(parent);
        try
        {
            Guard("mkdir", full, () => Directory.CreateDirectory(full));
        }
        catch (FileMissingException e)
        {
            // Its parent is there: some systems of files take no folders, and say that something is missing.
            throw new DiskFailedException("mkdir", full, "the system makes no folder there", e);
        }

        SyncFolder(full);
        if (parent is not null)
            SyncFolder(parent);
    }

    public void DeleteFolder(string path)
    {
        if (LibC.RemoveFolder(path) != 0)
            throw PosixErrors.Last("rmdir", path);
    }

    public IReadOnlyList<string> ListFiles(string folder) => List(folder, Directory.EnumerateFiles);

    public IReadOnlyList<string> ListFolders(string folder) => List(folder, Directory.EnumerateDirectories);

    public void SyncFolder(string path)
    {
        using var descriptor = new PosixFile.Descriptor(OpenDescriptor(path, LibC.OpenReadOnly));
        PosixFile.SyncFull((int)descriptor.DangerousGetHandle(), path);
    }

    /// <summary>
    /// By flock: it belongs to the open file, so it holds between two stores of one process as well, and the system lets
    /// go of it when the process dies. The file stays, since deleting it would let two hold "the" lock. It names the
    /// holder's process for the message of whoever comes second.
    /// </summary>
    public IFileLock Lock(string path) => LockAndSign(path, OpenDescriptor(path, LibC.OpenReadWrite | LibC.OpenCreate));

    public IDisposable? LockForReading(string path)
    {
        int number = LibC.Open(path, LibC.OpenReadWrite | LibC.OpenCreate | LibC.OpenCloseOnExec, FileMode);
        if (number >= 0)
            return LockAndSign(path, number);
        if (Marshal.GetLastPInvokeError() is not (LibC.ReadOnlyDisk or LibC.AccessDenied))
            throw PosixErrors.Last("open", path);
        return FileExists(path) ? LockOpened(path, OpenDescriptor(path, LibC.OpenReadOnly | LibC.OpenNonBlocking)) : null;
    }

    public long FreeBytes(string folder)
    {
        long free = 0;
        Guard("statvfs", folder, () => free = new DriveInfo(Path.GetFullPath(folder)).AvailableFreeSpace);
        return free;
    }

    private static PosixFile LockAndSign(string path, int number)
    {
        PosixFile file = LockOpened(path, number);
        try
        {
            file.SetLength(0);
            file.Write(Encoding.ASCII.GetBytes(Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n"), 0);
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static PosixFile LockOpened(string path, int number)
    {
        var file = new PosixFile(path, number);
        int waitedMs = 0;
        try
        {
            while (!file.TryLock())
            {
                if (PosixErrors.WasInterrupted())
                    continue;
                if (Marshal.GetLastPInvokeError() != LibC.TryAgain)
                    throw PosixErrors.Last("flock", path);
                if (waitedMs >= LockWaitMs || !LockHolder.IsEnding(HolderOf(file)))
                    throw InUse(file);
                Thread.Sleep(LockLookMs);
                waitedMs += LockLookMs;
            }

            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static bool Exists(string path)
    {
        while (LibC.Access(path, mode: 0) != 0)
        {
            if (PosixErrors.WasInterrupted())
                continue;
            if (Marshal.GetLastPInvokeError() is LibC.NoEntry or LibC.NotADirectory)
                return false;
            throw PosixErrors.Last("access", path);
        }

        return true;
    }

    private static int OpenDescriptor(string path, int flags)
    {
        while (true)
        {
            int number = LibC.Open(path, flags | LibC.OpenCloseOnExec, FileMode);
            if (number >= 0)
                return number;
            if (!PosixErrors.WasInterrupted())
                throw PosixErrors.Last("open", path);
        }
    }

    private static FolderInUseException InUse(PosixFile file)
    {
        string process = HolderOf(file);
        string who = process.Length == 0 ? "another store" : $"process {process}";
        string path = Path.GetFullPath(file.Path);

        // A lock beside a file is that file's, with this ending; any other is its folder's.
        string what = path.EndsWith(".lock", StringComparison.Ordinal) ? Path.ChangeExtension(path, null) : Path.GetDirectoryName(path)!;
        return new FolderInUseException($"{what} is in use by {who}");
    }

    private static string HolderOf(PosixFile file)
    {
        Span<byte> holder = stackalloc byte[20];
        return Encoding.ASCII.GetString(holder[..file.Read(holder, 0)]).Trim();
    }

    private static List<string> List(string folder, Func<string, IEnumerable<string>> entries)
    {
        List<string> names = [];
        Guard("readdir", folder, () => names.AddRange(entries(folder).Select(path => Path.GetFileName(path)!)));
        names.Sort(StringComparer.Ordinal);
        return names;
    }

    private static void Guard(string call, string path, Action action)
    {
        try
        {
            action();
        }
        catch (Exception exception) when (exception is DirectoryNotFoundException or FileNotFoundException or DriveNotFoundException)
        {
            throw new FileMissingException($"{path} is missing", exception);
        }
        catch (IOException exception) when ((exception.HResult & 0xFFFF) is LibC.NoSpace or LibC.QuotaExceeded)
        {
            throw new DiskFullException($"{call} of {path} failed: {exception.Message}", exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new DiskFailedException($"{call} of {path} failed: {exception.Message}", exception);
        }
    }
}
