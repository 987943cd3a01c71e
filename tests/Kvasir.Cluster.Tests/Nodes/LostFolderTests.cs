using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Routing;
using Kvasir.Primitives;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm;

namespace Kvasir.Cluster.Tests.Nodes;

/// <summary>A data folder that is moved or removed under a node that runs, and what another server has there by then.</summary>
public sealed class LostFolderTests
{
    private const string Data = "/data/";

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void NothingIsWrittenWhereTheFolderLayWhateverStandsThereNow(bool isNoticed)
    {
        NodeInMemory world = new(engines: [new LsmEngineFactory()]);
        List<string> said = [];
        world.Options = world.Options with { Warner = said.Add };
        world.Restart();
        world.Put(0, "a", "1");
        world.Settle();
        FolderTree.Remove(world.Disk, "/data");

        SimulatedScheduler scheduler = new(new SeededRandom(7));
        using KvasirNode other = KvasirNode.Open(world.Options, new NodeEnvironment(world.Disk, scheduler, [new LsmEngineFactory()], Seed: 8));
        other.Mailbox.Post(new ActionItem(execution =>
        {
            execution.Put(other.Database(0), "b"u8.ToArray(), [], "2"u8, 0);
            execution.Commit();
        }));
        other.Log.Commit();
        scheduler.RunAll();
        SortedDictionary<string, byte[]> theirs = world.CopyOf(Data);

        if (isNoticed)
        {
            world.Idle();
            Assert.Equal("IOERR", world.Node.Refusal?.Code);
            Assert.Contains("the data folder /data was moved or removed", Assert.Single(said), StringComparison.Ordinal);
        }

        Assert.ThrowsAny<StorageException>(() => world.Node.Checkpoint("/data/checkpoints/1"));
        world.Node.Database(0).Engine.Flush();
        world.Scheduler.RunAll();
        world.Idle();
        world.Node.Dispose();
        Assert.NotNull(world.Node.LookForFolder());
        Assert.Null(other.LookForFolder());
        Assert.Equal(theirs, world.CopyOf(Data));
    }

    [Fact]
    public void AFolderThatIsPutBackIsNotTakenUpAgain()
    {
        using NodeInMemory world = new();
        world.Put(0, "a", "1");
        world.Settle();
        SortedDictionary<string, byte[]> content = world.CopyOf(Data);
        foreach (string path in content.Keys)
            world.Disk.Delete(path);
        world.Idle();
        Assert.Equal("IOERR", world.Node.Refusal?.Code);
        foreach ((string path, byte[] bytes) in content)
            world.Disk.WriteAll(path, bytes);
        world.Idle();
        Assert.Equal("IOERR", world.Node.Refusal?.Code);
        Assert.Equal("1", world.Get(0, "a"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("LOCK")]
    [InlineData("NODE")]
    [InlineData("journal")]
    public void ANodeOfAClusterWhoseFolderIsLostIsNoCopyAnyMore(string part)
    {
        ClusterWorld world = ClusterWorld.OfThree(41, new LsmEngineFactory());
        for (int i = 0; i < 10; i++)
            world.Put(i % 2, $"key{i}", "before");
        ClusterMember lost = world.Members.First(m => m.Route(0, "key0").Kind == RouteKind.Local);
        foreach (string path in lost.Disk.Paths.Where(p => p.StartsWith(Data + part, StringComparison.Ordinal)).ToArray())
            lost.Disk.Delete(path);
        if (part == "journal")
            lost.Disk.DeleteFolder(Data + part);
        world.RunUntil(() => lost.Node.Log.Refusal is { Code: "IOERR" }, "it takes no writes", seconds: 2);
        world.RunUntil(() => lost.Announced.Any(a => a.Contains("this node leads nothing", StringComparison.Ordinal)), "it says so");
        Assert.StartsWith(part is "NODE" or "journal" ? $"{Data}{part} was " : "the data folder /data was moved or removed", lost.Node.Log.Refusal!.Message, StringComparison.Ordinal);
        Assert.NotNull(lost.Node.LookForFolder());

        for (int i = 0; i < 10; i++)
            world.Put(i % 2, $"key{i}", "after", seconds: 10);
        Assert.DoesNotContain(lost.Node.Host!.Groups, g => g.IsServing);

        // What it said it had does not count: with another node gone there is no majority.
        world.Members.First(m => m != lost).Stop();
        ClusterMember last = world.Members.First(m => m != lost && !m.IsDown);
        world.Run(TimeSpan.FromSeconds(5));
        Assert.Null(last.TryPut(0, "key0", "never"));
        lost.Stop();
        Assert.DoesNotContain(lost.Disk.Paths, p => part.Length == 0 && p.StartsWith(Data, StringComparison.Ordinal));
    }
}
