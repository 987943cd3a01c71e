using System.CommandLine;
using System.Globalization;
using Kvasir.Cli.CommandLine;
using Kvasir.Storage.Files;
using Kvasir.Storage.Machine;

namespace Kvasir.Cli.DataFiles;

/// <summary><c>kvasir verify DIR</c>: reads every byte of a data folder and checks what it must be.</summary>
internal static class VerifyCommand
{
    public static Command Create()
    {
        Argument<string> folder = CommandFlag.Path<string>("DIR", "A server's data folder, an embedded store, a checkpoint, an engine's folder, or the file of a B+tree store. Nobody may have it open.");
        Option<bool> json = CommandFlag.Json();
        var command = new Command("verify", "Check every file of a data folder; name the file and offset of all damage. Exit code 1 when there is some.")
        {
            folder, json,
        };
        command.SetAction((result, cancellation) => Task.FromResult(
            Run(Path.GetFullPath(result.GetValue(folder)!), result.GetValue(json), cancellation)));
        return command;
    }

    private static int Run(string folder, bool json, CancellationToken cancellation)
    {
        bool shown = !json && !Console.IsErrorRedirected;
        void Progress(string path, int files, long bytes)
        {
            if (shown)
                Console.Error.Write(string.Create(CultureInfo.InvariantCulture, $"\r\e[K{files} files, {bytes >> 20} MiB  {Path.GetFileName(path)}"));
        }

        return Run(folder, Progress, report =>
        {
            if (shown)
                Console.Error.Write("\r\e[K");
            if (report.IsUnlocked)
                Console.Error.WriteLine($"{folder} cannot be written and has no LOCK: checked without one. Nobody may have written to it meanwhile.");
            if (json)
                report.WriteJson(Console.OpenStandardOutput());
            else
                Console.Out.WriteLine(report.ToText());
        }, cancellation);
    }

    /// <param name="folder">What is checked.</param>
    /// <param name="progress">Hears of each file, how many there were, and the bytes of all.</param>
    /// <param name="write">Hears what was found; where the check is interrupted, what was found until then, if anything was.</param>
    /// <param name="cancellation">Interrupts it.</param>
    internal static int Run(string folder, Action<string, int, long> progress, Action<VerifyReport> write, CancellationToken cancellation)
    {
        int fileCount = 0;
        long bytes = 0;
        var check = new FolderCheck(new PosixFileSystem(), (path, length) =>
        {
            progress(path, ++fileCount, bytes += length);
            cancellation.ThrowIfCancellationRequested();
        });
        VerifyReport Report(IReadOnlyList<DamageFinding> damage, bool isComplete) => new(fileCount, bytes, damage, check.IsUnlocked, isComplete);
        try
        {
            IReadOnlyList<DamageFinding> damage = AbandonableWork.Run(() => check.Run(folder), cancellation);
            write(Report(damage, isComplete: true));
            return damage.Count == 0 ? ExitCode.Success : ExitCode.Negative;
        }
        catch (OperationCanceledException)
        {
            // Nobody knows of the rest; but a damaged place is damaged whatever the rest is, and it may have taken hours to find.
            if (check.Findings is { Count: > 0 } found)
                write(Report(found, isComplete: false));
            throw;
        }
    }
}
