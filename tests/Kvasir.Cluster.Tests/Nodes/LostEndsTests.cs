using Kvasir.Cluster.Nodes;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>
/// Files that are whole by every checksum and end too early: once the journal has let go of what they held, nothing else has it.
/// </summary>
public sealed class LostEndsTests
{
    private const string Keyspace = "/data/keyspaces/db2/";

    [Fact]
    public void AnOlderCopyOfAKeyspaceStopsTheStart()
    {
        using NodeInMemory world = new();
        world.Put(2, "key", "older");
        Flush(world);
        SortedDictionary<string, byte[]> older = world.CopyOf(Keyspace);
        world.Put(2, "key", "newer");
        world.Put(2, "padding", new string('x', 400_000));
        Flush(world);
        world.Idle();
        world.Disk = world.Disk.AfterCrash(new SeededRandom(3), CrashKind.LoseUnsynced);
        Assert.Empty(Findings(world));

        world.Replace(Keyspace, older);
        CorruptionException refusal = Assert.Throws<CorruptionException>(() => world.Crash(CrashKind.ProcessKill));
        Assert.Contains(Keyspace[..^1], refusal.Message, StringComparison.Ordinal);
        Assert.Contains("older copy", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(Keyspace[..^1], Assert.Single(Findings(world)).Path);
    }

    [Fact]
    public void AnOlderCopyThatTheJournalCanCatchUpIsWelcome()
    {
        using NodeInMemory world = new();
        world.Put(2, "key", "older");
        Flush(world);
        SortedDictionary<string, byte[]> older = world.CopyOf(Keyspace);
        world.Put(2, "key", "newer");
        Flush(world);
        world.Disk = world.Disk.AfterCrash(new SeededRandom(3), CrashKind.ProcessKill);
        world.Replace(Keyspace, older);
        Assert.Empty(Findings(world));
        world.Crash(CrashKind.ProcessKill);
        Assert.Equal("newer", world.Get(2, "key"));
    }

    [Fact]
    public void AJournalThatLostItsEndAfterACleanStopStopsTheStart()
    {
        using NodeInMemory world = new();
        world.Put(2, "key", "last");
        world.Settle();
        world.Node.Dispose();
        Assert.Empty(JournalFindings(world));

        string segment = world.Disk.Paths.Last(path => path.EndsWith(".segment", StringComparison.Ordinal));
        byte[] bytes = world.Disk.ReadAll(segment);
        int end = bytes.AsSpan().LastIndexOfAnyExcept((byte)0) + 1;
        bytes.AsSpan(end - 60, 60).Clear();
        world.Disk.WriteAll(segment, bytes);
        Assert.Contains("lost its end", Assert.Throws<CorruptionException>(world.Restart).Message, StringComparison.Ordinal);
        Assert.NotEmpty(JournalFindings(world));
    }

    [Fact]
    public void ACheckpointOpensWithoutWhatItsOriginalSaid()
    {
        using NodeInMemory world = new();
        world.Put(2, "key", "kept");
        Flush(world);
        world.Idle();
        world.Node.Checkpoint("/copy");
        Assert.False(world.Disk.FileExists(FlushedFile.PathIn("/copy")));
        world.Options = world.Options with { Folder = "/copy" };
        world.Restart();
        Assert.Equal("kept", world.Get(2, "key"));
        Assert.True(world.Disk.FileExists(FlushedFile.PathIn("/copy")));
    }

    [Fact]
    public void TheFileThatSaysHowFarTheOthersReachIsMissed()
    {
        using NodeInMemory world = new();
        world.Put(2, "key", "kept");
        world.Settle();
        world.Node.Dispose();
        Assert.Empty(Findings(world));
        string path = FlushedFile.PathIn("/data");
        byte[] bytes = world.Disk.ReadAll(path);
        world.Disk.Delete(path);
        Assert.Equal(path, Assert.Single(Findings(world)).Path);
        Assert.Equal(path, Assert.Throws<FileMissingException>(world.Restart).Path);
        world.Disk.WriteAll(path, bytes);
        world.Restart();
        Assert.Equal("kept", world.Get(2, "key"));
    }

    private static void Flush(NodeInMemory world)
    {
        world.Settle();
        foreach (var replica in world.Node.Replicas)
            replica.Engine.Flush();
        world.Settle();
    }

    private static LogPosition FlushedOf(NodeInMemory world, string keyspace) =>
        new Simulation.Models.ModelEngineFactory().ReadFlushedPosition(world.Disk, keyspace);

    private static IReadOnlyList<DamageFinding> Findings(NodeInMemory world) =>
        NodeInspector.VerifyFlushed(world.Disk, "/data", keyspace => FlushedOf(world, keyspace));

    private static IReadOnlyList<JournalFinding> JournalFindings(NodeInMemory world) => JournalVerifier.Verify(
        world.Disk, NodeInspector.JournalFolder("/data"), NodeInspector.ExpectedJournal(world.Disk, "/data", keyspace => FlushedOf(world, keyspace)));
}
