using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>A whole journal in the place of another: every checksum in it is right.</summary>
public sealed class CopiedJournalTests
{
    private const string Journal = "/data/journal/";

    [Fact]
    public void TheJournalOfAnotherNodeStopsTheStart()
    {
        using NodeInMemory world = new();
        world.Put(0, "a", "mine");
        world.Settle();
        world.Node.Dispose();
        using NodeInMemory other = new();
        other.Scheduler.Clock.Elapse(TimeSpan.FromSeconds(1));
        other.Restart();
        foreach (string path in other.CopyOf(Journal).Keys)
            other.Disk.Delete(path);
        NodeIdentity unborn = IdentityFile.Read(other.Disk, "/data/NODE") with { HasJournal = false, JournalId = 0 };
        IdentityFile.Write(other.Disk, "/data", unborn);
        other.Restart();
        other.Put(0, "a", "theirs");
        other.Node.Dispose();

        world.Replace(Journal, other.CopyOf(Journal));
        Assert.Contains("belongs here", Assert.Throws<CorruptionException>(world.Restart).Message, StringComparison.Ordinal);
        Assert.NotEmpty(Findings(world));
    }

    [Fact]
    public void AnOlderCopyOfItsOwnJournalStopsTheStart()
    {
        using NodeInMemory world = new();
        world.Put(0, "a", "1");
        world.Restart();
        world.Node.Dispose();
        SortedDictionary<string, byte[]> older = world.CopyOf(Journal);
        world.Restart();
        world.Put(0, "b", "2");
        world.Settle();
        foreach (var replica in world.Node.Replicas)
            replica.Engine.Flush();
        world.Settle();
        world.Put(1, "c", "3");
        world.Node.Dispose();
        Assert.Empty(Findings(world));

        world.Replace(Journal, older);
        Assert.Contains("older copy", Assert.Throws<CorruptionException>(world.Restart).Message, StringComparison.Ordinal);
        Assert.NotEmpty(Findings(world));
    }

    /// <summary>Where nobody waits for a sync, files may hold more than the journal after a loss of power; that is no damage.</summary>
    [Fact]
    public void FilesMayBeAheadOfAJournalThatNobodyWantedSynced()
    {
        using NodeInMemory world = new(Durability.None);
        for (int round = 0; round < 3; round++)
        {
            world.Put(0, "a", $"{round}");
            Sync(world);
            world.Node.Replicas[1].Engine.Flush();
            world.Scheduler.RunAll();
            world.Crash(CrashKind.LoseUnsynced);
            Assert.Equal($"{round}", world.Get(0, "a"));
        }

        // From then on it counts again.
        world.Put(0, "a", "last");
        Sync(world);
        world.Node.Replicas[1].Engine.Flush();
        world.Scheduler.RunAll();
        world.Options = world.Options with { Durability = Durability.Sync };
        world.Crash(CrashKind.LoseUnsynced);
        Assert.False(IdentityFile.Read(world.Disk, "/data/NODE").HasUnsynced);
        world.Crash(CrashKind.LoseUnsynced);
        Assert.Equal("last", world.Get(0, "a"));
        world.Node.SetDurability(Durability.None);
        Assert.True(IdentityFile.Read(world.Disk, "/data/NODE").HasUnsynced);
        world.Put(0, "a", "more");
        Sync(world);
        world.Node.Replicas[1].Engine.Flush();
        world.Scheduler.RunAll();
        world.Crash(CrashKind.LoseUnsynced);
        Assert.Equal("more", world.Get(0, "a"));

        // Nothing reaches the files that the journal may still lose, and the model does not ask for a sync by itself.
        static void Sync(NodeInMemory world)
        {
            world.Do(_ => world.Node.SetDurability(Durability.Interval));
            world.Do(_ => world.Node.SetDurability(Durability.None));
        }
    }

    [Fact]
    public void AnIdentityOfVersionOneIsRead()
    {
        using NodeInMemory world = new();
        world.Node.Dispose();
        byte[] first = world.Disk.ReadAll("/data/NODE")[..32];
        first[8] = 1;
        BitConverter.TryWriteBytes(first.AsSpan(28), Crc32C.Compute(first.AsSpan(0, 28)));
        world.Disk.WriteAll("/data/NODE", first);
        NodeIdentity read = IdentityFile.Read(world.Disk, "/data/NODE");
        Assert.Equal((4, true, 0UL, true), (read.DatabaseCount, read.HasJournal, read.JournalId, read.HasUnsynced));
        world.Restart();
        Assert.NotEqual(0UL, IdentityFile.Read(world.Disk, "/data/NODE").JournalId);
    }

    private static IReadOnlyList<JournalFinding> Findings(NodeInMemory world)
    {
        // Of model engines nobody but themselves knows up to where they hold the journal.
        SortedDictionary<string, LogPosition> flushed = new(StringComparer.Ordinal);
        var engines = new Kvasir.Simulation.Models.ModelEngineFactory();
        foreach (string folder in NodeInspector.ListKeyspaces(world.Disk, "/data"))
        {
            using var engine = engines.Open(folder, new Storage.Engines.EngineEnvironment(
                world.Disk, world.Scheduler, new Storage.Engines.MemoryBudget(Storage.Engines.MemoryBudget.MinimumBytes)));
            flushed[folder] = engine.FlushedPosition;
        }

        return JournalVerifier.Verify(
            world.Disk, NodeInspector.JournalFolder("/data"), NodeInspector.ExpectedJournal(world.Disk, "/data", folder => flushed[folder]));
    }
}
