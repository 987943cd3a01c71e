using System.Runtime.CompilerServices;
using Kvasir.Raft.Tests.Worlds;

namespace Kvasir.Raft.Tests;

/// <summary>Plays every script under Scripts/; with KVASIR_REWRITE=1 it writes what happened into the scripts instead.</summary>
public sealed class ScriptTests
{
    public static TheoryData<string> Names()
    {
        var names = new TheoryData<string>();
        foreach (string path in Directory.GetFiles(Folder(), "*.txt").Order(StringComparer.Ordinal))
            names.Add(Path.GetFileNameWithoutExtension(path));
        return names;
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void PlaysAsWritten(string name)
    {
        string path = Path.Combine(Folder(), name + ".txt");
        string written = File.ReadAllText(path);
        string played = ScriptRunner.Play(written);
        if (Environment.GetEnvironmentVariable("KVASIR_REWRITE") == "1")
            File.WriteAllText(path, played);
        else
            Assert.Equal(written, played);
    }

    private static string Folder([CallerFilePath] string here = "") =>
        Directory.Exists(Path.Combine(Path.GetDirectoryName(here)!, "Scripts"))
            ? Path.Combine(Path.GetDirectoryName(here)!, "Scripts")
            : Path.Combine(AppContext.BaseDirectory, "Scripts");
}
