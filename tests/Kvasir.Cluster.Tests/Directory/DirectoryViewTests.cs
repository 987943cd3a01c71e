using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Partitioning;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;

namespace Kvasir.Cluster.Tests.Directory;

public sealed class DirectoryViewTests
{
    [Fact]
    public void AClusterOfOneHasItsDatabasesFromTheStart()
    {
        DirectoryView view = new Clusters().View;
        Assert.Equal(77UL, view.Cluster?.Id);
        Assert.Equal(new NodeId(1), Assert.Single(view.Nodes).Id);
        Assert.Equal(17, view.Keyspaces.Length);
        Assert.Equal(16, view.DatabaseCount);
        Assert.Equal(65, view.Groups.Length);
        Assert.Equal(KeyspaceId.System, view.Group(GroupId.Directory)?.Keyspace);
        Assert.Equal("db7", view.KeyspaceOfDatabase(7)?.Record.Name);
        Assert.Same(view.KeyspaceOfDatabase(15), view.KeyspaceByName("db15"));
        Assert.Null(view.KeyspaceOfDatabase(16));
        Assert.Null(view.KeyspaceOfDatabase(-1));
        Assert.Null(view.KeyspaceByName("db16"));
        Assert.All(view.Groups, g => Assert.Equal([1UL], g.Replicas.Select(n => n.Value)));
        for (ushort slot = 0; slot < Slot.Count; slot += 37)
            Assert.Equal(slot % 4, view.KeyspaceOfDatabase(3)!.GroupOf(new Slot(slot))!.Shard);
    }

    [Fact]
    public void LookingUpAllocatesNothing()
    {
        DirectoryView view = new Clusters().View;
        uint found = 0;

        // The first round compiles, and a collection that another thread needs counts the rest of this one's block as allocated.
        long least = long.MaxValue;
        for (int round = 0; round < 6; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 1000; i++)
            {
                found += view.KeyspaceByName("db11"u8)!.GroupOf(Slot.OfKey("a{b}c"u8))!.Id.Value;
                found += view.KeyspaceOfDatabase(3)!.GroupOf(new Slot(5))!.Id.Value;
                found += view.Group(new GroupId(9))!.Id.Value + (uint)view.Node(new NodeId(1))!.Id.Value + view.Keyspace(new KeyspaceId(3))!.Record.Id.Value;
            }

            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.Equal(0, least);
        Assert.True(found > 0);
    }

    [Fact]
    public void AViewDoesNotChangeUnderItsReader()
    {
        Clusters cluster = new();
        DirectoryView before = cluster.View;
        Assert.Same(before, cluster.View);
        cluster.Join();
        Assert.Single(before.Nodes);
        Assert.Equal(2, cluster.View.Nodes.Length);
    }

    [Fact]
    public void WhatAnEngineHoldsIsWhatWasApplied()
    {
        Clusters cluster = new();
        using ModelEngine engine = ModelEngine.Open("/system", EngineInMemory());
        Write(engine, cluster.Last, 1);
        NodeId joined = cluster.Join("zone=a", activate: false);
        Write(engine, cluster.Last, 2);
        cluster.Do(DirectoryOperations.Activate(cluster.View, joined));
        Write(engine, cluster.Last, 3);
        WriteBatch other = new();
        other.Put("databases"u8, "x"u8);
        engine.Stage(other.Bytes);
        engine.Publish(new LogPosition(4));

        DirectoryView read = DirectoryRecords.Read(engine).View;
        Assert.Equal(cluster.View.Nodes.AsEnumerable(), read.Nodes);
        Assert.Equal(cluster.View.Groups.AsEnumerable(), read.Groups);
        Assert.Equal(cluster.View.Keyspaces.Select(k => k.Record), read.Keyspaces.Select(k => k.Record));
        Assert.Equal(cluster.View.Cluster, read.Cluster);
    }

    private static EngineEnvironment EngineInMemory() =>
        new(new SimulatedFileSystem(new SeededRandom(1)), new SimulatedScheduler(new SeededRandom(2)), new MemoryBudget(MemoryBudget.MinimumBytes));

    private static void Write(ModelEngine engine, DirectoryDecision decision, ulong position)
    {
        WriteBatch batch = new();
        decision.WriteTo(batch);
        engine.Stage(batch.Bytes);
        engine.Publish(new LogPosition(position));
    }
}
