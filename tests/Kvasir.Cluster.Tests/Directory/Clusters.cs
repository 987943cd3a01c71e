using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Storage.Engines;

namespace Kvasir.Cluster.Tests.Directory;

/// <summary>A directory that applies what is decided, with verbs for tests.</summary>
internal sealed class Clusters
{
    private ulong _identity;

    public Clusters(int databases = 16, int shards = 4, string locality = "")
    {
        Do(DirectoryOperations.Found(new FoundRequest
        {
            ClusterId = 77,
            Node = Request(locality),
            Databases = databases,
            ShardsPerDatabase = shards,
        }));
    }

    public DirectoryRecords Records { get; } = new();

    public DirectoryView View => Records.View;

    /// <summary>What the last decision wrote.</summary>
    public DirectoryDecision Last { get; private set; }

    public static JoinRequest Request(ulong identity, string locality = "") => new()
    {
        Identity = identity,
        PeerAddress = $"10.0.0.{identity}:7000",
        RespAddress = $"10.0.0.{identity}:6379",
        Locality = Locality.TryParse(locality, out Locality? read, out string? refusal) ? read : throw new ArgumentException(refusal, nameof(locality)),
    };

    public void Do(DirectoryDecision decision)
    {
        Assert.Null(decision.Refusal);
        Last = decision;
        WriteBatch batch = new();
        decision.WriteTo(batch);
        Records.ApplyBatch(batch.Bytes);
    }

    public NodeId Join(string locality = "", bool activate = true)
    {
        DirectoryDecision decision = DirectoryOperations.Join(View, Request(locality), out NodeId id);
        Do(decision);
        if (activate)
            Do(DirectoryOperations.Activate(View, id));
        return id;
    }

    /// <summary>Upkeep, and groups that follow at once, until there is nothing to do; returns how many rounds it took.</summary>
    public int Settle(UpkeepSettings? settings = null)
    {
        SettleGroups();
        for (int rounds = 0; ; rounds++)
        {
            Assert.True(rounds < 2000, "upkeep does not come to an end");
            DirectoryDecision decision = DirectoryUpkeep.Next(View, [], settings ?? new UpkeepSettings());
            if (decision.Changes.Count == 0)
                return rounds;
            Do(decision);
            SettleGroups();
        }
    }

    public void SettleGroups() =>
        Do(DirectoryOperations.Settle(View, [.. View.Groups.Where(g => !g.IsSettled).Select(g => new GroupReport(g.Id, g.Epoch))]));

    public GroupRecord Group(uint id) => View.Group(new GroupId(id))!;

    private JoinRequest Request(string locality) => Request(++_identity, locality);
}
