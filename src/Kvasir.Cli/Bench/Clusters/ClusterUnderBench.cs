using System.Globalization;
using Kvasir.Cli.Administration;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.LocalClusters;
using Kvasir.Cli.Shell;

namespace Kvasir.Cli.Bench.Clusters;

/// <summary>Nodes in processes of this program, that talk to each other directly, and what leads what.</summary>
internal sealed class ClusterUnderBench : IDisposable
{
    public const string Keyspace = "db0";

    private const long MemoryMib = 256;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(50);

    private readonly LocalLayout _layout;
    private readonly LocalCluster _cluster;

    public ClusterUnderBench(string folder, int nodes)
    {
        _layout = LocalLayout.Prepare(folder, nodes, respPort: 0, MemoryMib);
        _cluster = new LocalCluster(_layout, static (_, _) => { });
    }

    public IReadOnlyList<NodePlace> Nodes => _layout.Nodes;

    public static HostPort AddressOf(NodePlace place) => LocalCluster.AddressOf(place);

    public async Task Start(CancellationToken stop)
    {
        await _cluster.Start(stop);
        await UntilWhole(Keyspace, stop);
        await UntilSpread(stop);
    }

    public int ProcessIdOf(NodePlace place) => _cluster.ProcessOf(place)!.ProcessId;

    public void Kill(NodePlace place) => _cluster.ProcessOf(place)!.Kill();

    /// <summary>SIGTERM, and its end.</summary>
    public async Task Terminate(NodePlace place, CancellationToken stop)
    {
        NodeProcess process = _cluster.ProcessOf(place)!;
        process.Signal(ProcessSignal.Terminate);
        await process.Ended.WaitAsync(s_patience, stop);
    }

    /// <summary>A node comes back; until it has all its copies and its share of the leaders.</summary>
    public async Task Restart(NodePlace place, CancellationToken stop)
    {
        _cluster.Begin(place);
        await _cluster.UntilAnswers(place, stop);
        await UntilWhole(Keyspace, stop);
        await UntilSpread(stop);
    }

    /// <summary>Starts the process of a node that was killed or stopped.</summary>
    public void Begin(NodePlace place) => _cluster.Begin(place);

    public Task UntilAnswers(NodePlace place, CancellationToken stop) => _cluster.UntilAnswers(place, stop);

    public ClusterSurvey? Survey() => _cluster.Survey();

    public Task UntilWhole(string keyspace, CancellationToken stop) =>
        _cluster.UntilReplicated([keyspace], Nodes.Count, static _ => { }, stop);

    /// <summary>Until every node leads its share of all shards, give or take a few.</summary>
    public async Task UntilSpread(CancellationToken stop)
    {
        long began = Environment.TickCount64;
        while (!IsSpread())
        {
            if (Environment.TickCount64 - began > s_patience.TotalMilliseconds)
                throw new UsageException("the leaders were not spread over the nodes");
            await Task.Delay(s_look, stop);
        }
    }

    private bool IsSpread()
    {
        if (_cluster.Survey() is not { } survey || survey.Nodes.Count < Nodes.Count)
            return false;
        int[] leads = [.. survey.Nodes.Select(n => n.Answer?.Replicas.Count(static r => r.Leads) ?? 0)];
        return leads.Sum() >= survey.First.Groups.Count && leads.Min() >= leads.Sum() / (2 * leads.Length);
    }

    /// <summary>The shards of the keyspace, and who leads each; those without a leader are left out.</summary>
    public IReadOnlyList<(int Shard, NodePlace Leader)> Leads()
    {
        List<(int Shard, NodePlace Leader)> leads = [];
        if (_cluster.Survey() is not { } survey)
            return leads;
        foreach (GroupEntry group in survey.GroupsOf(Keyspace))
        {
            if (survey.LeaderOf(group.Id) is { Node.Resp: { } resp } && Nodes.FirstOrDefault(n => AddressOf(n).ToString() == resp) is { } place)
                leads.Add(((int)group.Shard, place));
        }

        return leads;
    }

    /// <summary>A key of each shard, by its number.</summary>
    public string[] KeysOfShards()
    {
        using RespConnection connection = RespConnection.Open(AddressOf(Nodes[0]));
        string[] keys = new string[_cluster.Survey()!.GroupsOf(Keyspace).Count()];
        for (int i = 0; keys.Contains(null); i++)
        {
            string key = string.Create(CultureInfo.InvariantCulture, $"bench-{i}");
            int slot = int.Parse(connection.Call("CLUSTER", "KEYSLOT", key).Text, CultureInfo.InvariantCulture);
            keys[slot % keys.Length] ??= key;
        }

        return keys;
    }

    /// <summary>The directory's number of a node.</summary>
    public string NumberOf(NodePlace place) =>
        _cluster.Survey()!.Nodes.First(n => n.Node.Resp == AddressOf(place).ToString()).Node.Id.ToString(CultureInfo.InvariantCulture);

    public void Dispose() => _cluster.Dispose();
}
