using System.Text;
using Kvasir.Cli.DataFiles;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Transactions;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Machine;
using Kvasir.Storage.Store;

namespace Kvasir.Cli.Tests.DataFiles;

/// <summary><c>verify</c> and <c>inspect</c> on folders of every engine.</summary>
public sealed class EngineFolderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-files-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Store => Path.Combine(_folder, "store");

    private string EngineFolder => Path.Combine(Store, "engine");

    [Theory]
    [InlineData("lsm")]
    [InlineData("log")]
    [InlineData("btree")]
    public async Task AStoreAndItsEngineAloneAreSound(string engine)
    {
        Make(engine);
        Assert.Contains("sound", (await KvasirProcess.Run("verify", Store)).AssertSuccess().Output, StringComparison.Ordinal);
        Assert.Contains("sound", (await KvasirProcess.Run("verify", EngineFolder)).AssertSuccess().Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("lsm", "CURRENT")]
    [InlineData("log", "HASHLOG")]
    [InlineData("btree", "tree")]
    public void AFileThatEveryFolderOfTheEngineHasIsMissed(string engine, string name)
    {
        Make(engine);
        File.Delete(Path.Combine(EngineFolder, name));
        Assert.Contains(Verify(Store), f => f.Path == Path.Combine(EngineFolder, name) && f.Detail.Contains("missing", StringComparison.Ordinal));
    }

    /// <summary>Where the last file is gone, too, the store still says which it must be.</summary>
    [Theory]
    [InlineData("lsm", "CURRENT")]
    [InlineData("log", "HASHLOG")]
    [InlineData("btree", "tree")]
    public void AnEngineOfWhichNothingIsLeftIsMissed(string engine, string name)
    {
        Make(engine);
        foreach (string file in Directory.GetFiles(EngineFolder))
            File.Delete(file);
        Assert.Contains(Verify(Store), f => f.Path == Path.Combine(EngineFolder, name));
    }

    [Fact]
    public void AStoreOfAnEngineThatNobodyKnowsIsDamaged()
    {
        Make("btree");
        string identity = Path.Combine(Store, "STORE");
        string changed = File.ReadAllText(identity).Replace("btree", "btrez", StringComparison.Ordinal);
        File.WriteAllText(identity, changed);
        Assert.Contains(Verify(Store), f => f.Path == identity && f.Detail.Contains("checksum", StringComparison.Ordinal));

        // As early versions wrote it, without one.
        File.WriteAllLines(identity, changed.Split('\n')[..3]);
        Assert.Contains(Verify(Store), f => f.Path == identity && f.Detail.Contains("'btrez'", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("STORE")]
    [InlineData("FLUSHED")]
    public async Task TheSmallFilesOfAStoreAreMissedAndInspected(string name)
    {
        Make("log");
        string path = Path.Combine(Store, name);
        string told = (await KvasirProcess.Run("inspect", path)).AssertSuccess().Output;
        Assert.Contains(name == "STORE" ? "store: engine log, journal " : "flushed: journal ", told, StringComparison.Ordinal);
        Assert.Empty(Verify(Store));
        File.Delete(path);
        DamageFinding finding = Assert.Single(Verify(Store));
        Assert.Equal((path, "the file is missing"), (finding.Path, finding.Detail));
    }

    [Theory]
    [InlineData("lsm", "*.sst")]
    [InlineData("log", "*.log")]
    [InlineData("btree", "tree")]
    public void AFileThatWasCutIsNamedAlone(string engine, string pattern)
    {
        Make(engine);
        string path = Directory.GetFiles(EngineFolder, pattern)[0];
        using (FileStream file = File.OpenWrite(path))
            file.SetLength(file.Length / 2);
        DamageFinding finding = Assert.Single(Verify(Store));
        Assert.Equal(path, finding.Path);
        Assert.InRange(finding.Offset, 1, new FileInfo(path).Length);
    }

    /// <summary>Of every page that is used: free ones may hold anything, and so may the meta page that does not count.</summary>
    [Fact]
    public void AFlippedBitOfATreeIsFoundInItsPage()
    {
        Make("btree");
        string path = Path.Combine(EngineFolder, "tree");
        var files = new PosixFileSystem();
        List<InspectedPart> used = [.. FileParts.Of(files, path, entries: false).Where(p => p.Kind is "leaf" or "branch" or "overflow run")];
        Assert.True(used.Count > 10);
        byte[] sound = File.ReadAllBytes(path);
        foreach (InspectedPart part in used)
        {
            byte[] damaged = (byte[])sound.Clone();
            damaged[part.Offset + (part.Length / 2)] ^= 4;
            File.WriteAllBytes(path, damaged);
            Assert.Contains(Verify(EngineFolder), f => f.Path == path && f.Offset == part.Offset);
        }
    }

    [Fact]
    public async Task InspectTellsWhatAnEngineKeepsInItsTree()
    {
        Make("btree");
        string told = (await KvasirProcess.Run("inspect", "--entries", Path.Combine(EngineFolder, "tree"))).AssertSuccess().Output;
        Assert.Contains("flushed position", told, StringComparison.Ordinal);
        Assert.Contains("key key 00007, sequence 8, kind Value", told, StringComparison.Ordinal);
        Assert.Contains("expires at ms 4102444800000", told, StringComparison.Ordinal);
        Assert.Contains("overflow run", told, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AStoreOfAProgramsOwnIsVerifiedAndInspectedUnlessItIsOpen()
    {
        string path = Path.Combine(_folder, "own.db");
        using (var scheduler = new ThreadScheduler(TimeProvider.System))
        using (BTreeStore store = BTreeStore.Open(new PosixFileSystem(), path, scheduler))
        {
            using (WriteTransaction transaction = store.BeginWrite())
            {
                transaction.Root.GetOrCreateBucket("bucket"u8).Put("key"u8, "value"u8);
                transaction.Commit();
            }

            Assert.Contains("is open in another process", (await KvasirProcess.Run("verify", path)).AssertUsageError(), StringComparison.Ordinal);
        }

        Assert.Contains("sound", (await KvasirProcess.Run("verify", path)).AssertSuccess().Output, StringComparison.Ordinal);
        string told = (await KvasirProcess.Run("inspect", "--entries", path)).AssertSuccess().Output;
        Assert.Contains("key bucket, bucket page", told, StringComparison.Ordinal);
        Assert.Contains("key key, value value", told, StringComparison.Ordinal);
    }

    /// <summary>Of the file before, in the middle of an engine; and nothing is said of what nobody has read.</summary>
    [Fact]
    public void WhatAnInterruptedCheckHadFoundIsTold()
    {
        Make("lsm");
        Make("lsm");
        string[] tables = [.. Directory.GetFiles(EngineFolder, "*.sst").Order(StringComparer.Ordinal)];
        Assert.True(tables.Length > 1);
        foreach (string table in tables)
        {
            using FileStream file = File.OpenWrite(table);
            file.SetLength(file.Length / 2);
        }

        using var stop = new CancellationTokenSource();
        VerifyReport? told = null;
        string? read = null;
        Assert.ThrowsAny<OperationCanceledException>(() => VerifyCommand.Run(
            Store,
            (path, _, _) =>
            {
                if (!path.EndsWith(".sst", StringComparison.Ordinal))
                    return;
                read = path;
                stop.Cancel();
            },
            report => told = report, stop.Token));
        DamageFinding finding = Assert.Single(told!.Damage);
        Assert.Equal(read, finding.Path);
        Assert.False(told.IsComplete);
        Assert.EndsWith(": 1 damaged place, and the rest was not read", told.ToText(), StringComparison.Ordinal);
        using MemoryStream json = new();
        told.WriteJson(json);
        Assert.Contains("\"complete\": false", Encoding.UTF8.GetString(json.ToArray()), StringComparison.Ordinal);

        // Where nothing was found, nothing is said: it is not sound.
        told = null;
        Assert.ThrowsAny<OperationCanceledException>(() => VerifyCommand.Run(Store, (_, _, _) => stop.Cancel(), report => told = report, stop.Token));
        Assert.Null(told);
    }

    private static IReadOnlyList<DamageFinding> Verify(string folder) => new FolderCheck(new PosixFileSystem(), static (_, _) => { }).Run(folder);

    /// <summary>Enough for some pages, with a long value and one that expires, all of it in the engine's files.</summary>
    private void Make(string engine)
    {
        IEngineFactory factory = engine switch
        {
            "lsm" => new LsmEngineFactory(),
            "log" => new HashLogEngineFactory(),
            _ => new BTreeEngineFactory(),
        };
        using var scheduler = new ThreadScheduler(TimeProvider.System);
        using DurableStore store = DurableStore.Open(new PosixFileSystem(), scheduler, Store, factory, new DurableStoreOptions());
        var batch = new WriteBatch();
        for (int i = 0; i < 1000; i++)
            batch.Put(Encoding.ASCII.GetBytes($"key {i:00000}"), new byte[100]);
        batch.Put("expires"u8, "value"u8, expiresAtMs: 4_102_444_800_000);
        batch.Put("long"u8, new byte[20_000]);
        store.Write(batch);
        store.Flush();
    }
}
