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

    [Fact]
    public void AWriteThatIsAsynchronousIsAnErrorOfTheCompiler()
    {
        string[] right =
        [
            "transactional.Update(t => t.Root.Put([], []));",
            "transactional.Update(t => t.Root.Delete([]));",
            "transactional.Update(t => t.Root.GetOrCreateBucket([]));",
            "transactional.Update(t => throw new System.Exception());",
            "transactional.Update(t => { throw new System.Exception(); });",
            "transactional.Update(t => { while (true) { } });",
            "transactional.Update(static _ => { });",
            "transactional.Update(delegate { });",
            "transactional.Update(null);",
            "void Write(WriteTransaction t) { } transactional.Update(Write);",
            "bool Write(WriteTransaction t) => true; transactional.Update(t => Write(t));",
            "System.Action<WriteTransaction> action = _ => { }; transactional.Update(action); transactional.Batch(action); transactional.BatchAsync(action);",
            "System.Action<System.Action<WriteTransaction>> way = transactional.Update; way = transactional.Batch;",
            "transactional.Batch(t => t.Root.Delete([]));",
            "transactional.Batch(t => throw new System.Exception());",
            "transactional.BatchAsync(t => t.Root.Delete([]));",
            "transactional.BatchAsync(t => throw new System.Exception(), default);",

            // What it reads before its first await it may take along.
            "transactional.View(t => System.Threading.Tasks.Task.FromResult(t.Root.IsEmpty));",
        ];
        string[] wrong =
        [
            "transactional.Update(async t => await System.Threading.Tasks.Task.Yield());",
            "transactional.Update(async t => { await System.Threading.Tasks.Task.Yield(); t.Root.Put([], []); });",
            "transactional.Update(async t => { await System.Threading.Tasks.Task.Yield(); return 1; });",
            "transactional.Update(async delegate { await System.Threading.Tasks.Task.Yield(); });",
            "transactional.Update(t => System.Threading.Tasks.Task.Delay(1));",
            "System.Threading.Tasks.Task Write(WriteTransaction t) => null; transactional.Update(Write);",
            "transactional.Batch(async t => await System.Threading.Tasks.Task.Yield());",
            "transactional.BatchAsync(async t => await System.Threading.Tasks.Task.Yield());",
            "transactional.BatchAsync(async t => await System.Threading.Tasks.Task.Yield(), default);",
        ];
        Assert.Equal([], Compile(right));
        Assert.Equal(wrong.Select((_, i) => $"{i}: CS0619"), Compile(wrong));
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
