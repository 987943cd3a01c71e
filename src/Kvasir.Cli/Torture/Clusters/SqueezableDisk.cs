using System.Diagnostics;
using System.Globalization;

namespace Kvasir.Cli.Torture.Clusters;

/// <summary>
/// A file system in memory over one folder, in a mount namespace of its own, that can be made as small as what it holds: nothing
/// outside sees it, and it is gone with the process that holds it. Needs no rights where users may make namespaces.
/// </summary>
internal sealed class SqueezableDisk : IDisposable
{
    private const int Mebibytes = 1024;
    private const int SpareKibibytes = 256;
    private const int SqueezesMax = 100;

    private readonly string _folder;
    private readonly Process _holder;

    private SqueezableDisk(string folder, Process holder)
    {
        _folder = folder;
        _holder = holder;
    }

    /// <summary>What a program is started under to see it.</summary>
    public IReadOnlyList<string> Under =>
        ["nsenter", "-t", _holder.Id.ToString(CultureInfo.InvariantCulture), "-U", "-m", "--preserve-credentials"];

    /// <summary>The folder as it is seen from outside.</summary>
    public string Outside => string.Create(CultureInfo.InvariantCulture, $"/proc/{_holder.Id}/root{_folder}");

    /// <summary>Null where the system has no such namespaces, or does not let this user make them.</summary>
    public static SqueezableDisk? TryMount(string folder)
    {
        string whole = Path.GetFullPath(folder);
        Directory.CreateDirectory(whole);
        Process holder;
        try
        {
            holder = Process.Start(Quiet("unshare", "-rm", "sh", "-c", $"mount -t tmpfs -o size={Mebibytes}m tmpfs '{whole}' && echo ready && exec cat"))!;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null;
        }

        if (holder.StandardOutput.ReadLine() == "ready")
            return new SqueezableDisk(whole, holder);
        holder.WaitForExit();
        holder.Dispose();
        return null;
    }

    /// <summary>
    /// Leaves a little room. Whoever writes at the same time may have used more than that since it was looked: the system refuses a size
    /// that is too small for what is there, and it is looked again, with more to spare each time.
    /// </summary>
    public void Squeeze() => Run(
        $"for try in $(seq {SqueezesMax}); do said=$(mount -o remount,size=$(( $(df -k --output=used '{_folder}' | tail -n 1) + {SpareKibibytes} * try ))k '{_folder}' 2>&1) && exit; done; "
        + "echo \"$said\" >&2; exit 1");

    public void Widen() => Run(string.Create(CultureInfo.InvariantCulture, $"mount -o remount,size={Mebibytes}m '{_folder}'"));

    public void Dispose()
    {
        _holder.StandardInput.Close();
        _holder.WaitForExit();
        _holder.Dispose();
    }

    private static ProcessStartInfo Quiet(string program, params IEnumerable<string> arguments) => new(program, arguments)
    {
        UseShellExecute = false,
        RedirectStandardInput = true,
        RedirectStandardOutput = true,
        RedirectStandardError = true,
    };

    private void Run(string script)
    {
        using Process process = Process.Start(Quiet(Under[0], [.. Under.Skip(1), "sh", "-c", script]))!;
        string errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
            throw new InvalidOperationException($"the small disk could not be changed: {errors.Trim()}");
    }
}
