using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Kvasir.Storage.Files;
using Kvasir.Storage.Machine;
using Microsoft.Win32.SafeHandles;

namespace Kvasir.Storage.Tests.Files;

/// <summary>The machine's disk, and beside it what only another process can see.</summary>
public sealed class PosixFileSystemTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-files-").FullName;
    private readonly PosixFileSystem _files = new();

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void WhatIsWrittenAtAPositionIsReadThere()
    {
        using IFile file = _files.Open($"{_folder}/a", FileOpenMode.CreateNew);
        file.Write("hello"u8, 3);
        byte[] read = new byte[10];
        Assert.Equal(8, file.Read(read, 0));
        Assert.Equal("\0\0\0hello\0\0"u8.ToArray(), read);
        Assert.Equal(0, file.Read(read, 100));
        Assert.Equal(8, file.Length);
        file.Allocate(5000);
        Assert.Equal(5000, file.Length);
        file.SetLength(4);
        Assert.Equal(4, _files.FileLength(file.Path));
        file.Sync(SyncMode.Data);
        file.Sync(SyncMode.Full);
    }

    [Fact]
    public void NamesAreCreatedLinkedRenamedListedAndDeleted()
    {
        _files.CreateFolder($"{_folder}/x/y/z");
        Assert.True(_files.FolderExists($"{_folder}/x/y/z"));
        foreach (string name in new[] { "b", "a", "B" })
            _files.Open($"{_folder}/x/{name}", FileOpenMode.CreateNew).Dispose();
        Assert.Equal(["B", "a", "b"], _files.ListFiles($"{_folder}/x"));
        Assert.Equal(["y"], _files.ListFolders($"{_folder}/x"));
        _files.HardLink($"{_folder}/x/a", $"{_folder}/x/linked");
        _files.Rename($"{_folder}/x/b", $"{_folder}/x/a");
        _files.Delete($"{_folder}/x/B");
        _files.SyncFolder($"{_folder}/x");
        Assert.Equal(["a", "linked"], _files.ListFiles($"{_folder}/x"));
        _files.DeleteFolder($"{_folder}/x/y/z");
        Assert.False(_files.FolderExists($"{_folder}/x/y/z"));
        Assert.True(_files.FreeBytes(_folder) > 0);
    }

    [Fact]
    public void AnOpenFileOutlivesItsName()
    {
        using IFile file = _files.Open($"{_folder}/a", FileOpenMode.CreateNew);
        file.Write("kept"u8, 0);
        _files.Delete(file.Path);
        Assert.False(_files.FileExists(file.Path));
        Assert.Equal(4, file.Length);
    }

    [Fact]
    public void ErrorsSayWhatIsMissingOrRefused()
    {
        Assert.Contains("nowhere", Assert.Throws<FileMissingException>(() => _files.Open($"{_folder}/nowhere", FileOpenMode.Read)).Message, StringComparison.Ordinal);
        Assert.Throws<FileMissingException>(() => _files.Delete($"{_folder}/nowhere"));
        Assert.Throws<FileMissingException>(() => _files.ListFiles($"{_folder}/nowhere"));
        Assert.Throws<FileMissingException>(() => _files.SyncFolder($"{_folder}/nowhere"));
        _files.Open($"{_folder}/a", FileOpenMode.CreateNew).Dispose();
        DiskFailedException exists = Assert.Throws<DiskFailedException>(() => _files.Open($"{_folder}/a", FileOpenMode.CreateNew));
        Assert.Contains("File exists", exists.Message, StringComparison.Ordinal);
        using IFile readOnly = _files.Open($"{_folder}/a", FileOpenMode.Read);
        Assert.Throws<DiskFailedException>(() => readOnly.Write("x"u8, 0));
        IFile closed = _files.Open($"{_folder}/a", FileOpenMode.ReadWrite);
        closed.Dispose();
        Assert.Throws<ObjectDisposedException>(() => closed.Write("x"u8, 0));
    }

    [Fact]
    public void APipeIsNoFile()
    {
        string path = $"{_folder}/pipe";
        using (Process made = Process.Start("mkfifo", path))
            made.WaitForExit();
        Assert.True(_files.FileExists(path));
        Assert.Contains("is not a regular file", Assert.Throws<DiskFailedException>(() => _files.Open(path, FileOpenMode.Read)).Message, StringComparison.Ordinal);
        Assert.Throws<DiskFailedException>(() => _files.Open(path, FileOpenMode.ReadWrite));
        Assert.Throws<DiskFailedException>(() => _files.FileLength(path));
    }

    [Fact]
    public void AFullDeviceIsReportedAsFull()
    {
        using IFile full = _files.Open("/dev/full", FileOpenMode.ReadWrite);
        Assert.Throws<DiskFullException>(() => full.Write("x"u8, 0));
    }

    [Fact]
    public void TheLockHoldsWithinOneProcessAndIsGivenBack()
    {
        string path = $"{_folder}/LOCK";
        using (_files.Lock(path))
            Assert.Contains(_folder, Assert.Throws<FolderInUseException>(() => _files.Lock(path)).Message, StringComparison.Ordinal);
        _files.Lock(path).Dispose();
        Assert.True(_files.FileExists(path));
    }

    /// <summary>A process that is just being started has the numbers of all open files until it runs its program; so has a copy here.</summary>
    [Fact]
    public void TheLockIsGivenBackAlsoWhereItsFileIsOpenElsewhere()
    {
        string path = $"{_folder}/LOCK";
        int copy;
        using (_files.Lock(path))
        {
            string number = Path.GetFileName(Directory.GetFiles("/proc/self/fd").Single(f => new FileInfo(f).LinkTarget == path));
            copy = Duplicate(int.Parse(number, CultureInfo.InvariantCulture));
            Assert.True(copy >= 0);
            Assert.Throws<FolderInUseException>(() => _files.Lock(path));
        }

        using var held = new SafeFileHandle(copy, ownsHandle: true);
        _files.Lock(path).Dispose();
    }

    [Fact]
    public void TheLockHoldsBetweenProcessesAndEndsWithItsHolder()
    {
        string path = $"{_folder}/LOCK";
        using Process holder = ChildProcess.Start(tracer: null, "lock", path);
        Assert.Equal("locked", holder.StandardOutput.ReadLine());
        FolderInUseException thrown = Assert.Throws<FolderInUseException>(() => _files.Lock(path));
        Assert.Contains($"process {holder.Id}", thrown.Message, StringComparison.Ordinal);
        (int exitCode, string output) = ChildProcess.Run(tracer: null, "lock", path);
        Assert.Equal(3, exitCode);
        Assert.Contains("in use", output, StringComparison.Ordinal);

        holder.Kill();
        holder.WaitForExit();
        _files.Lock(path).Dispose();
    }

    [Fact]
    public void WhoWasKilledNeedNotBeWaitedForByHand()
    {
        string path = $"{_folder}/LOCK";
        using Process holder = ChildProcess.Start(tracer: null, "lock", path, "512");
        Assert.Equal("locked", holder.StandardOutput.ReadLine());
        holder.Kill();
        _files.Lock(path).Dispose();
        holder.WaitForExit();
    }

    /// <summary>
    /// The platform's own classes fail this test: their flush returns normally. Injected from outside the process, since
    /// nothing inside it can make the system's fsync fail.
    /// </summary>
    [NeedsStraceTheory]
    [InlineData("EIO", "DiskFailedException", "Input/output error")]
    [InlineData("ENOSPC", "DiskFullException", "No space left on device")]
    [InlineData("EDQUOT", "DiskFullException", "Disk quota exceeded")]
    public void ASyncThatTheSystemFailsIsReported(string error, string exception, string reason)
    {
        _files.Open($"{_folder}/a", FileOpenMode.CreateNew).Dispose();
        (int exitCode, string output) = ChildProcess.Run(
            $"-f -qq -o {_folder}/trace -e trace=fsync,fdatasync -e inject=fsync,fdatasync:error={error}", "sync", $"{_folder}/a");
        Assert.True(exitCode == 0, output);
        string[] lines = output.Trim().Split('\n');
        Assert.Equal(3, lines.Length);
        Assert.All(lines, line => Assert.StartsWith($"{exception}: ", line, StringComparison.Ordinal));
        Assert.All(lines, line => Assert.Contains(reason, line, StringComparison.Ordinal));
    }

    [NeedsStraceTheory]
    [InlineData("EIO", "Input/output error")]
    [InlineData("EACCES", "Permission denied")]
    public void WhatCannotBeLookedAtIsNotTakenForMissing(string error, string reason)
    {
        string path = $"{_folder}/a";
        _files.Open(path, FileOpenMode.CreateNew).Dispose();
        Assert.Equal("True ok\nFalse ok", ChildProcess.Run(tracer: null, "exists", path).Output.Trim());
        const string calls = "?access,?faccessat,?faccessat2,?stat,?lstat,?newfstatat,?statx";
        (int exitCode, string output) = ChildProcess.Run(
            $"-f -qq -o {_folder}/trace -P {path} -P {path}/. -e trace={calls} -e inject={calls}:error={error}", "exists", path);
        Assert.True(exitCode == 0, output);
        string[] lines = output.Trim().Split('\n');
        Assert.Equal(2, lines.Length);
        Assert.All(lines, line => Assert.StartsWith("DiskFailedException: ", line, StringComparison.Ordinal));
        Assert.All(lines, line => Assert.Contains(reason, line, StringComparison.Ordinal));
    }

    [NeedsStraceFact]
    public void AJournalWhoseSyncTheSystemFailsStopsForGood()
    {
        string segment = $"{_folder}/journal/00000000000000000001.segment";
        (int exitCode, string output) = ChildProcess.Run(
            $"-f -qq -o {_folder}/trace -P {segment} -e trace=fsync,fdatasync -e inject=fsync,fdatasync:error=EIO:when=1",
            "journal",
            $"{_folder}/journal");
        Assert.True(exitCode == 0, output);
        string[] lines = output.Trim().Split('\n');
        Assert.Equal(3, lines.Length);
        Assert.StartsWith("WritesStoppedException: ", lines[0], StringComparison.Ordinal);
        Assert.Contains("Input/output error", lines[0], StringComparison.Ordinal);

        // The second sync would have succeeded: it is never asked for.
        Assert.StartsWith("WritesStoppedException: ", lines[1], StringComparison.Ordinal);
        Assert.Equal("DiskFailed", lines[2]);
        Assert.Single(File.ReadAllLines($"{_folder}/trace"), line => line.Contains("INJECTED", StringComparison.Ordinal));
    }

    [DllImport("libc", EntryPoint = "dup")]
    private static extern int Duplicate(int number);
}

internal sealed class NeedsStraceFactAttribute : FactAttribute
{
    public NeedsStraceFactAttribute() => Skip = Strace.ReasonToSkip;
}

internal sealed class NeedsStraceTheoryAttribute : TheoryAttribute
{
    public NeedsStraceTheoryAttribute() => Skip = Strace.ReasonToSkip;
}

internal static class Strace
{
    public static string? ReasonToSkip { get; } =
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists($"{folder}/strace"))
            ? null
            : "strace is not installed; with it (apt install strace) this test makes the system's fsync fail";
}
