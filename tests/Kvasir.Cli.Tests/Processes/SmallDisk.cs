using System.Diagnostics;
using System.Globalization;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>
/// A file system in memory of a few MiB, in a mount namespace of its own: nothing outside sees it, and it is gone with the
/// process that holds it. Needs no rights where users may make namespaces.
/// </summary>
internal sealed class SmallDisk : IDisposable
{
    private const string RootOfProcess = "root";
    private readonly Process _holder;

    public SmallDisk(int mebibytes, string? bindReadOnly = null)
    {
        string mount = bindReadOnly is null
            ? string.Create(CultureInfo.InvariantCulture, $"mount -t tmpfs -o size={mebibytes}m tmpfs /mnt")
            : $"mount --bind '{bindReadOnly}' /mnt && mount -o remount,bind,ro /mnt";
        _holder = Process.Start(new ProcessStartInfo("unshare", ["-rm", "sh", "-c", mount + " && echo ready && exec cat"])
        {
            UseShellExecute = false, RedirectStandardInput = true, RedirectStandardOutput = true,
        })!;
        Assert.Equal("ready", _holder.StandardOutput.ReadLine());
    }

    public static string? ReasonToSkip { get; } =
        Tools.Has("unshare") && Tools.Has("nsenter") && Tools.Run("unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt") == 0
            ? null
            : "this system does not let users make mount namespaces (unshare -rm): a small file system cannot be made";

    /// <summary>What a server is started under to see it, at /mnt.</summary>
    public string[] Under => ["nsenter", "-t", _holder.Id.ToString(CultureInfo.InvariantCulture), "-U", "-m", "--preserve-credentials"];

    /// <summary>The same from outside.</summary>
    public string Outside => string.Create(CultureInfo.InvariantCulture, $"/proc/{_holder.Id}/{RootOfProcess}/mnt");

    public void Dispose()
    {
        _holder.StandardInput.Close();
        _holder.WaitForExit();
        _holder.Dispose();
    }
}

internal sealed class NeedsSmallDiskFactAttribute : FactAttribute
{
    public NeedsSmallDiskFactAttribute() => Skip = SmallDisk.ReasonToSkip;
}

internal sealed class NeedsSmallDiskTheoryAttribute : TheoryAttribute
{
    public NeedsSmallDiskTheoryAttribute() => Skip = SmallDisk.ReasonToSkip;
}

internal sealed class NeedsStraceFactAttribute : FactAttribute
{
    public NeedsStraceFactAttribute() =>
        Skip = Tools.Has("strace") ? null : "strace is not installed; with it (apt install strace) this test makes the system's fsync fail";
}
