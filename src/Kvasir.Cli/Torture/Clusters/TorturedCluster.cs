using System.Globalization;
using Kvasir.Cli.Administration;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.LocalClusters;
using Kvasir.Cli.Shell;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Torture.Clusters;

/// <summary>Real nodes in processes of this program, with a relay between them.</summary>
internal sealed class TorturedCluster : ITorturedCluster, IDisposable
{
    private const string Keyspace = "db0";
    private const int CopiesPromised = 3;
    private const int SlotCount = 16384;

    // What a node may have: several share a machine that has other work, too.
    private const long MemoryMib = 128;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(120);

    private readonly LocalLayout _layout;
    private readonly LocalCluster _cluster;
    private readonly PeerRelay _relay;
    private readonly Queue<string> _log = new();

    public TorturedCluster(string folder, int nodes)
    {
        _relay = new PeerRelay(nodes, node => _cluster?.ProcessOf(_cluster.Nodes[node]) is { HasEnded: false } process ? process.ProcessId : 0);
        _layout = LocalLayout.Prepare(folder, nodes, respPort: 0, MemoryMib, _relay.Ports);
        _cluster = new LocalCluster(_layout, Note);
        _relay.Start([.. _layout.Nodes.Select(n => n.PeerPort)]);
    }

    public int NodeCount => _layout.Nodes.Count;

    public IReadOnlyList<HostPort> Addresses => [.. _layout.Nodes.Select(LocalCluster.AddressOf)];

    /// <summary>What the nodes logged last: what a person wants to see of a run that failed.</summary>
    public string LastWords
    {
        get
        {
            lock (_log)
                return string.Join(Environment.NewLine, _log);
        }
    }

    public async Task Start(CancellationToken cancellation)
    {
        await _cluster.Start(cancellation);
        await _cluster.UntilReplicated([Keyspace], Math.Min(NodeCount, CopiesPromised), _ => { }, cancellation);
    }

    /// <summary>The shard of each lane's keys: all keys with the same tag have the same slot.</summary>
    public IReadOnlyDictionary<string, int> ShardsOf(IEnumerable<TortureLane> lanes)
    {
        ClusterSurvey survey = _cluster.Survey() ?? throw new UsageException("no node answers STATUS");
        int shards = Math.Max(1, survey.GroupsOf(Keyspace).Count());
        using RespConnection connection = RespConnection.Open(Addresses[0]);
        Dictionary<string, int> found = new(StringComparer.Ordinal);
        foreach (TortureLane lane in lanes)
        {
            RespReply slot = connection.Call("CLUSTER", "KEYSLOT", lane.Tag);
            if (slot.Kind != RespReplyKind.Integer || !int.TryParse(slot.Text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) || number >= SlotCount)
                throw new BrokenPromiseException($"CLUSTER KEYSLOT was answered {slot.Text}");
            found[lane.Tag] = number % shards;
        }

        return found;
    }

    public IReadOnlyList<IReadOnlyList<int>> Leads()
    {
        List<int>[] leads = [.. Enumerable.Range(0, NodeCount).Select(_ => new List<int>())];
        if (_cluster.Survey() is not { } survey)
            return leads;
        foreach (GroupEntry group in survey.GroupsOf(Keyspace))
        {
            int node = survey.LeaderOf(group.Id) is { Node.Resp: { } resp } ? Addresses.ToList().FindIndex(a => a.ToString() == resp) : -1;
            if (node >= 0)
                leads[node].Add((int)group.Shard);
        }

        return leads;
    }

    public void Kill(int node) => _cluster.ProcessOf(_layout.Nodes[node])!.Kill();

    public void Terminate(int node)
    {
        NodeProcess process = _cluster.ProcessOf(_layout.Nodes[node])!;
        process.Signal(ProcessSignal.Terminate);
        if (!process.Ended.Wait(s_patience))
            throw new BrokenPromiseException($"{process.Place.Name} does not stop when it is told to");
        if (process.ExitCode != 0)
            throw new BrokenPromiseException($"{process.Place.Name} was told to stop and {process.Fate}: {process.LastWords}");
    }

    public void Start(int node) => _cluster.Begin(_layout.Nodes[node]);

    public void Freeze(int node) => _cluster.ProcessOf(_layout.Nodes[node])!.Signal(ProcessSignal.Stop);

    public void Thaw(int node) => _cluster.ProcessOf(_layout.Nodes[node])!.Signal(ProcessSignal.Continue);

    public void Cut(int from, int to) => _relay.Cut(from, to);

    public void HealLinks() => _relay.HealAll();

    public void AwaitAll()
    {
        using CancellationTokenSource patience = new(s_patience);
        foreach (NodePlace place in _layout.Nodes)
        {
            try
            {
                _cluster.UntilAnswers(place, patience.Token).GetAwaiter().GetResult();
            }
            catch (OperationCanceledException e)
            {
                throw new BrokenPromiseException($"{place.Name} does not answer, {s_patience.TotalSeconds} s after all faults ended", e);
            }
            catch (UsageException e)
            {
                throw new BrokenPromiseException(e.Message, e);
            }
        }
    }

    /// <summary>Back when every shard has all its copies again.</summary>
    public void AwaitWhole()
    {
        using CancellationTokenSource patience = new(s_patience);
        string last = "nothing is known of it";
        try
        {
            _cluster.UntilReplicated([Keyspace], Math.Min(NodeCount, CopiesPromised), missing => last = missing, patience.Token).GetAwaiter().GetResult();
        }
        catch (OperationCanceledException e)
        {
            throw new BrokenPromiseException($"{s_patience.TotalSeconds} s after all faults ended: {last}", e);
        }
    }

    public Task<bool> Stop() => _cluster.Stop();

    public void Dispose()
    {
        _cluster.Dispose();
        _relay.Dispose();
    }

    private void Note(NodePlace place, string line)
    {
        const int LinesKept = 60;
        lock (_log)
        {
            _log.Enqueue($"{place.Name}: {line}");
            if (_log.Count > LinesKept)
                _log.Dequeue();
        }
    }
}
