using System.Globalization;
using System.Net.Sockets;
using Kvasir.Cli.Administration;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.LocalClusters;
using Kvasir.Cli.Shell;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Torture.Clusters;

/// <summary>Real nodes in processes of this program, with a relay between them.</summary>
internal sealed class TorturedCluster : ITorturedCluster, IDisposable
{
    // More than a keyspace has: each shard of each has a number of its own.
    private const int ShardsMax = 1 << 16;
    private const int CopiesPromised = 3;
    private const int SlotCount = 16384;

    // What a node may have: several share a machine that has other work, too.
    private const long MemoryMib = 128;

    // Short enough that who was away for a while is brought up to date by snapshots.
    private static readonly string[] s_settings = ["journal-mib 8"];

    private const int PressedKeys = 96;
    private const int PressedValueBytes = 256 << 10;

    private const int PauseMs = 10;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan s_askPatience = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_pressPatience = TimeSpan.FromSeconds(5);

    private readonly LocalLayout _layout;
    private readonly LocalCluster _cluster;
    private readonly PeerRelay _relay;
    private readonly SqueezableDisk? _disk;
    private readonly Queue<string> _log = new();
    private readonly IReadOnlyList<string> _engines;
    private readonly string[] _keyspaces;

    /// <param name="folder">Where the nodes' folders are.</param>
    /// <param name="nodes">How many.</param>
    /// <param name="hasSmallDisk">The last node gets a disk that can be made full, where the system allows that.</param>
    /// <param name="engines">Clients use a keyspace of each.</param>
    public TorturedCluster(string folder, int nodes, bool hasSmallDisk, IReadOnlyList<string> engines)
    {
        _engines = engines;
        _keyspaces = [.. engines.Select(TorturedKeyspaces.Of)];
        _relay = new PeerRelay(nodes, node => _cluster?.ProcessOf(_cluster.Nodes[node]) is { HasEnded: false } process ? process.ProcessId : 0);
        _layout = LocalLayout.Prepare(folder, nodes, respPort: 0, MemoryMib, _relay.Ports, s_settings);
        if (hasSmallDisk && SqueezableDisk.TryMount(_layout.Nodes[^1].Folder) is { } disk)
        {
            _disk = disk;
            _layout.PutUnder(nodes, disk.Under);
        }

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
        await _cluster.UntilReplicated([TorturedKeyspaces.First], Math.Min(NodeCount, CopiesPromised), _ => { }, cancellation);
        using (NodeConnection connection = NodeConnection.Open(Addresses[0], password: null, s_patience))
        {
            foreach (string engine in _engines.Where(static e => e != TorturedKeyspaces.DefaultEngine))
                connection.Call("KEYSPACE", "CREATE", TorturedKeyspaces.Of(engine), "engine", engine);
        }

        await _cluster.UntilReplicated(_keyspaces, Math.Min(NodeCount, CopiesPromised), _ => { }, cancellation);
    }

    /// <summary>The shard of each lane's keys: all keys with the same tag have the same slot.</summary>
    public IReadOnlyDictionary<string, int> ShardsOf(IEnumerable<TortureLane> lanes)
    {
        ClusterSurvey survey = _cluster.Survey() ?? throw new UsageException("no node answers STATUS");
        int[] shards = [.. _keyspaces.Select(k => Math.Max(1, survey.GroupsOf(k).Count()))];
        using RespConnection connection = RespConnection.Open(Addresses[0]);
        Dictionary<string, int> found = new(StringComparer.Ordinal);
        foreach (TortureLane lane in lanes)
        {
            RespReply slot = connection.Call("CLUSTER", "KEYSLOT", lane.Tag);
            if (slot.Kind != RespReplyKind.Integer || !int.TryParse(slot.Text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) || number >= SlotCount)
                throw new BrokenPromiseException($"CLUSTER KEYSLOT was answered {slot.Text}");
            int keyspace = Array.IndexOf(_keyspaces, lane.Keyspace);
            found[lane.Tag] = (keyspace * ShardsMax) + (number % shards[keyspace]);
        }

        return found;
    }

    public IReadOnlyList<IReadOnlyList<int>> Leads()
    {
        List<int>[] leads = [.. Enumerable.Range(0, NodeCount).Select(_ => new List<int>())];
        if (_cluster.Survey() is not { } survey)
            return leads;
        for (int keyspace = 0; keyspace < _keyspaces.Length; keyspace++)
        {
            foreach (GroupEntry group in survey.GroupsOf(_keyspaces[keyspace]))
            {
                int node = survey.LeaderOf(group.Id) is { Node.Resp: { } resp } ? Addresses.ToList().FindIndex(a => a.ToString() == resp) : -1;
                if (node >= 0)
                    leads[node].Add((keyspace * ShardsMax) + (int)group.Shard);
            }
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

    public void Cut(int from, int to, LinkCut how) => _relay.Cut(from, to, how);

    public void HealLinks() => _relay.HealAll();

    public int? SmallDisk => _disk is null ? null : NodeCount - 1;

    public void FillDisk() => _disk!.Squeeze();

    public void FreeDisk() => _disk!.Widen();

    public bool SaysDiskIsFull(int node) =>
        Ask(node) is { } answer && answer.Replicas.Any(r => r.Disk?.Contains("disk full", StringComparison.Ordinal) ?? false);

    public void Press(Func<bool> until, long bytesMax)
    {
        string value = new('p', PressedValueBytes);
        RespConnection? connection = null;
        try
        {
            int at = 0;
            long end = Environment.TickCount64 + (long)s_patience.TotalMilliseconds;
            for (long written = 0; written < bytesMax && !until() && Environment.TickCount64 < end; written += PressedValueBytes)
            {
                try
                {
                    connection ??= RespConnection.Open(Addresses[at]);
                    connection.Socket.ReceiveTimeout = (int)s_pressPatience.TotalMilliseconds;
                    string key = string.Create(CultureInfo.InvariantCulture, $"pressed:{written / PressedValueBytes % PressedKeys}");
                    if (connection.Call("SET", key, value).Kind != RespReplyKind.Error)
                        continue;
                }
                catch (Exception e) when (e is UsageException or SocketException or IOException or RespFormatException)
                {
                    connection?.Dispose();
                    connection = null;
                    at = (at + 1) % NodeCount;
                }

                Thread.Sleep(PauseMs);
            }
        }
        finally
        {
            connection?.Dispose();
        }
    }

    public bool IsReceivingSnapshot(int node)
    {
        string replicas = Path.Combine(FolderOf(node), "replicas");
        return Directory.Exists(replicas)
            && Directory.EnumerateDirectories(replicas, "*.*").Any(static f => !File.Exists(f + ".installed"));
    }

    public bool IsChangingMembers() =>
        _cluster.Survey() is { } survey
        && survey.Nodes.Any(n => n.Answer?.Replicas.Any(r => r.Leads && (r.Learners.Count > 0 || WantedOf(survey, r.Group) is { } wanted && !wanted.SequenceEqual(r.Voters))) ?? false);

    public void Replace(int node)
    {
        Drain(node);
        string folder = FolderOf(node);
        foreach (string inside in Directory.GetDirectories(folder))
            Directory.Delete(inside, recursive: true);
        foreach (string file in Directory.GetFiles(folder))
            File.Delete(file);
    }

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
            _cluster.UntilReplicated(_keyspaces, Math.Min(NodeCount, CopiesPromised), missing => last = missing, patience.Token).GetAwaiter().GetResult();
        }
        catch (OperationCanceledException e)
        {
            throw new BrokenPromiseException($"{s_patience.TotalSeconds} s after all faults ended: {last}", e);
        }
        catch (UsageException e)
        {
            throw new BrokenPromiseException(e.Message, e);
        }
    }

    public Task<bool> Stop() => _cluster.Stop();

    /// <summary>After a run that failed: what lies on the small disk is moved to where a person can see it.</summary>
    public void KeepSmallDisk()
    {
        if (_disk is null)
            return;
        string kept = _layout.Nodes[^1].Folder + ".kept";
        foreach (string file in Directory.EnumerateFiles(_disk.Outside, "*", SearchOption.AllDirectories))
        {
            string to = Path.Combine(kept, Path.GetRelativePath(_disk.Outside, file));
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            File.Copy(file, to, overwrite: true);
        }
    }

    public void Dispose()
    {
        _cluster.Dispose();
        _relay.Dispose();
        _disk?.Dispose();
    }

    private IReadOnlyList<long>? WantedOf(ClusterSurvey survey, long group)
    {
        foreach (GroupEntry entry in survey.First.Groups)
        {
            if (entry.Id == group && _keyspaces.Contains(entry.Keyspace))
                return entry.Replicas;
        }

        return null;
    }

    /// <summary>As an operator does whose node will not come back: until then its address is its own.</summary>
    private void Drain(int node)
    {
        long end = Environment.TickCount64 + (long)s_patience.TotalMilliseconds;
        string last = "";
        while (Environment.TickCount64 < end)
        {
            for (int other = 0; other < NodeCount; other++)
            {
                if (other == node || Ask(other)?.Nodes.FirstOrDefault(n => n.State is "active" or "draining" && n.Resp == Addresses[node].ToString()) is not { } entry)
                    continue;
                if (entry.State == "draining")
                    return;
                try
                {
                    using NodeConnection connection = NodeConnection.Open(Addresses[other], password: null, s_pressPatience);
                    connection.Call("NODE", "DRAIN", entry.Id.ToString(CultureInfo.InvariantCulture));
                    return;
                }
                catch (Exception e) when (e is UsageException or RefusedException or SocketException or IOException or RespFormatException)
                {
                    last = e.Message;
                }
            }

            Thread.Sleep(PauseMs);
        }

        throw new BrokenPromiseException($"{_layout.Nodes[node].Name} cannot be drained: {last}");
    }

    private string FolderOf(int node) => node == SmallDisk ? _disk!.Outside : _layout.Nodes[node].Folder;

    private NodeAnswer? Ask(int node)
    {
        try
        {
            return ClusterSurvey.AskOne(Addresses[node], password: null, s_askPatience);
        }
        catch (Exception e) when (e is UsageException or RefusedException or SocketException or IOException or RespFormatException)
        {
            return null;
        }
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
