using System.Diagnostics;
using Kvasir.Storage.Embedded;

namespace Kvasir.Storage.Tests.Embedded;

/// <summary>What programs that embed a store must not do does not compile: the SDK's compiler is asked.</summary>
public sealed class CompilerTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void MisuseIsAnErrorOfTheCompiler()
    {
        // What is allowed, so that the others fail for the reason that is meant.
        string[] right =
        [
            "read.Root.TryGet(default, out _);",
            "write.Root.Put([], []);",
            "write.Commit();",
            "ordered.CreateIterator().Previous();",
            "hashed.CreateScan().Next();",
            "ordered.CreateScan().Next();",
        ];
        (string Code, string Error)[] wrong =
        [
            ("read.Root.Put(default, default);", "CS1061"),
            ("read.Root.Delete(default);", "CS1061"),
            ("read.Root.DeleteRange(default, default);", "CS1061"),
            ("read.Root.GetOrCreateBucket(default);", "CS1061"),
            ("read.Root.DeleteBucket(default);", "CS1061"),
            ("read.Root.FindBucket([])!.Put(default, default);", "CS1061"),
            ("read.Commit();", "CS1061"),
            ("read.UserData = default;", "CS0200"),
            ("hashed.CreateIterator();", "CS1061"),
            ("hashed.CreateScan().Previous();", "CS1061"),
            ("hashed.CreateScan().SeekToLast();", "CS1061"),
            ("hashed.BeginWrite();", "CS1061"),
            ("ordered.BeginRead();", "CS1061"),
            ("return transactional.View(t => t.Root.TryGet(default, out System.ReadOnlySpan<byte> value) ? value : default);", "CS9244"),
        ];
        Assert.Equal([], Compile(right));
        Assert.Equal(
            wrong.Select((w, i) => $"{i}: {w.Error}"),
            Compile([.. wrong.Select(w => w.Code)]).Where(e => wrong.Any(w => e.EndsWith(w.Error, StringComparison.Ordinal))).Distinct(StringComparer.Ordinal));
    }

    /// <summary>Each statement is a method of its own; the errors, as "number of the statement: error".</summary>
    private List<string> Compile(string[] statements)
    {
        var errors = new List<string>();
        for (int i = 0; i < statements.Length; i++)
        {
            File.WriteAllText(Path.Combine(_folder, $"statement{i}.cs"), $$"""
                using Kvasir.Storage.BTree.Transactions;
                using Kvasir.Storage.Embedded;
                static class Statement{{i}}
                {
                    static object M(ReadTransaction read, WriteTransaction write, OrderedStore ordered, HashStore hashed, TransactionalStore transactional)
                    {
                        {{statements[i]}}
                #pragma warning disable CS0162
                        return null;
                    }
                }
                """);
        }

        string runtime = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
        var start = new ProcessStartInfo("dotnet") { UseShellExecute = false, RedirectStandardOutput = true, WorkingDirectory = _folder };
        foreach (string argument in (string[])["exec", CompilerPath(), "-nologo", "-noconfig", "-nostdlib", "-target:library", "-langversion:14", "-out:out.dll"])
            start.ArgumentList.Add(argument);
        foreach (string assembly in (string[])["System.Private.CoreLib.dll", "System.Runtime.dll", "System.Collections.dll"])
            start.ArgumentList.Add("-r:" + Path.Combine(runtime, assembly));
        start.ArgumentList.Add("-r:" + typeof(TransactionalStore).Assembly.Location);
        start.ArgumentList.Add("-r:" + typeof(Kvasir.Primitives.Check).Assembly.Location);
        for (int i = 0; i < statements.Length; i++)
            start.ArgumentList.Add($"statement{i}.cs");
        using Process compiler = Process.Start(start)!;
        string output = compiler.StandardOutput.ReadToEnd();
        compiler.WaitForExit();
        for (int i = 0; i < statements.Length; i++)
        {
            foreach (string line in output.Split('\n').Where(l => l.StartsWith($"statement{i}.cs(", StringComparison.Ordinal)))
            {
                if (line.Contains(": error ", StringComparison.Ordinal))
                    errors.Add($"{i}: {line.Split(": error ")[1].Split(':')[0]}");
            }
        }

        Assert.True(errors.Count > 0 || compiler.ExitCode == 0, output);
        return errors;
    }

    private static string CompilerPath()
    {
        // The runtime lies in <dotnet>/shared/Microsoft.NETCore.App/<version>, the SDKs in <dotnet>/sdk.
        string dotnet = Path.GetFullPath(Path.Combine(Path.GetDirectoryName(typeof(object).Assembly.Location)!, "..", "..", ".."));
        string[] compilers = [.. Directory.GetDirectories(Path.Combine(dotnet, "sdk"))
            .Select(sdk => Path.Combine(sdk, "Roslyn", "bincore", "csc.dll")).Where(File.Exists)];
        return compilers.OrderByDescending(File.GetLastWriteTimeUtc).First();
    }
}
