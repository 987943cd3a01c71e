using System.CommandLine;
using System.Globalization;
using System.Text.Json;
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
        int fileCount = 0;
        long bytes = 0;
        bool shown = !json && !Console.IsErrorRedirected;
        void Progress(string path, long length)
        {
            cancellation.ThrowIfCancellationRequested();
            fileCount++;
            bytes += length;
            if (shown)
                Console.Error.Write(string.Create(CultureInfo.InvariantCulture, $"\r\e[K{fileCount} files, {bytes >> 20} MiB  {Path.GetFileName(path)}"));
        }

        var check = new FolderCheck(new PosixFileSystem(), Progress);
        IReadOnlyList<DamageFinding> findings = AbandonableWork.Run(() => check.Run(folder), cancellation);
        if (shown)
            Console.Error.Write("\r\e[K");
        if (check.IsUnlocked)
            Console.Error.WriteLine($"{folder} cannot be written and has no LOCK: checked without one. Nobody may have written to it meanwhile.");
        if (json)
        {
            using var writer = new Utf8JsonWriter(Console.OpenStandardOutput(), new JsonWriterOptions { Indented = true });
            writer.WriteStartObject();
            writer.WriteBoolean("sound", findings.Count == 0);
            writer.WriteNumber("files", fileCount);
            writer.WriteNumber("bytes", bytes);
            writer.WriteStartArray("damage");
            foreach (DamageFinding finding in findings)
            {
                writer.WriteStartObject();
                writer.WriteString("file", finding.Path);
                writer.WriteNumber("offset", finding.Offset);
                writer.WriteString("detail", finding.Detail);
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
            writer.Flush();
            Console.Out.Write("\n");
        }
        else
        {
            foreach (DamageFinding finding in findings)
                Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{finding.Path}: offset {finding.Offset}: {finding.Detail}"));
            Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{fileCount} files, {bytes:N0} bytes: {(findings.Count == 0 ? "sound" : $"{findings.Count} damaged places")}"));
        }

        return findings.Count == 0 ? ExitCode.Success : ExitCode.Negative;
    }
}
