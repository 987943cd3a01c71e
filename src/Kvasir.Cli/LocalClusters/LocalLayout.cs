using System.Globalization;
using Kvasir.Cli.CommandLine;

namespace Kvasir.Cli.LocalClusters;

/// <summary>
/// The nodes of a cluster on this machine, as a folder holds them: <c>node-1</c>, <c>node-2</c> ... and beside each the
/// settings that <c>kvasir server --config</c> starts it with. Ports between nodes are chosen at the first start and kept:
/// the cluster knows its nodes by them.
/// </summary>
internal sealed class LocalLayout
{
    private readonly NodePlace[] _nodes;
    private readonly long _memoryMib;
    private readonly IReadOnlyList<string> _settings;

    private LocalLayout(string folder, NodePlace[] nodes, long memoryMib, IReadOnlyList<string> settings)
    {
        _settings = settings;
        Folder = folder;
        _nodes = nodes;
        _memoryMib = memoryMib;
    }

    public string Folder { get; }

    public IReadOnlyList<NodePlace> Nodes => _nodes;

    /// <summary>Nobody has been started yet: the first node founds the cluster, the others join it.</summary>
    public bool IsNew => Nodes.All(n => !n.HasIdentity);

    /// <param name="folder">Made when missing.</param>
    /// <param name="count">Nodes; at least as many as the folder has.</param>
    /// <param name="respPort">Of the first node, the others follow; 0 for any free ones.</param>
    /// <param name="memoryMib">What each node may have.</param>
    /// <param name="advertised">Ports that stand before the nodes' own, if something is put between them.</param>
    /// <param name="settings">Further lines for the settings of each node.</param>
    public static LocalLayout Prepare(
        string folder, int count, int respPort, long memoryMib, IReadOnlyList<int>? advertised = null, IReadOnlyList<string>? settings = null)
    {
        if (respPort != 0 && respPort + count - 1 > 65535)
            throw new UsageException($"--resp-port {respPort} leaves no room for the ports of {count} nodes");
        if (File.Exists(Path.Combine(folder, "NODE")))
            throw new UsageException($"{folder} has the data of a server that stands alone; a cluster needs a folder of its own");
        int present = CountIn(folder);
        if (present > count)
            throw new UsageException($"{folder} has a cluster of {present} nodes, start all of them: --nodes {present}");
        DataFolder.Make(folder);
        int[] free = FreePorts.Take(3 * count);
        NodePlace[] nodes = new NodePlace[count];
        for (int i = 0; i < count; i++)
        {
            string name = string.Create(CultureInfo.InvariantCulture, $"node-{i + 1}");
            string settingsFile = Path.Combine(folder, name + ".conf");
            Dictionary<string, string> kept = Kept(settingsFile);
            nodes[i] = new NodePlace
            {
                Number = i + 1,
                Folder = Path.Combine(folder, name),
                SettingsFile = settingsFile,
                RespPort = respPort == 0 ? free[3 * i] : respPort + i,
                PeerPort = PortOf(kept, "peer") ?? free[(3 * i) + 1],
                HttpPort = PortOf(kept, "http") ?? free[(3 * i) + 2],
                AdvertisedPort = advertised?[i] ?? 0,
            };
        }

        return new LocalLayout(folder, nodes, memoryMib, settings ?? []);
    }

    /// <summary>From its next start on, a node is started under a program.</summary>
    public void PutUnder(int number, IReadOnlyList<string> under) => _nodes[number - 1] = _nodes[number - 1] with { Under = under };

    /// <summary>How many nodes a folder has the data of.</summary>
    public static int CountIn(string folder)
    {
        int count = 0;
        while (Directory.Exists(Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"node-{count + 1}"))))
            count++;
        return count;
    }

    /// <param name="node">Whose settings are written.</param>
    /// <param name="founds">
    /// It joins nobody, so that an empty folder begins a cluster. Only for the very first start: a first node whose folder
    /// is wiped later on is to come back into its cluster, not to begin another.
    /// </param>
    public void WriteSettings(NodePlace node, bool founds)
    {
        List<string> lines =
        [
            "# Written by kvasir up. Starts this one node: kvasir server --config FILE",
            "data " + Path.GetFullPath(node.Folder),
            "resp " + node.Resp,
            "http " + node.Http,
            string.Create(CultureInfo.InvariantCulture, $"peer 127.0.0.1:{node.PeerPort}"),
            string.Create(CultureInfo.InvariantCulture, $"memory-mib {_memoryMib}"),
            "log-level warning",
        ];
        lines.AddRange(_settings);
        if (node.AdvertisedPort != 0)
            lines.Add("peer-advertise " + node.Peer);
        if (!founds)
            lines.Add("join " + string.Join(',', Nodes.Where(n => n != node).Select(n => n.Peer)));
        string temporary = node.SettingsFile + ".new";
        File.WriteAllLines(temporary, lines);
        File.Move(temporary, node.SettingsFile, overwrite: true);
    }

    private static Dictionary<string, string> Kept(string settings)
    {
        Dictionary<string, string> kept = new(StringComparer.Ordinal);
        foreach (string line in File.Exists(settings) ? File.ReadAllLines(settings) : [])
        {
            int space = line.IndexOf(' ', StringComparison.Ordinal);
            if (space > 0 && line[0] != '#')
                kept[line[..space]] = line[(space + 1)..].Trim();
        }

        return kept;
    }

    private static int? PortOf(Dictionary<string, string> kept, string key) =>
        kept.TryGetValue(key, out string? text) && HostPort.TryParse(text, out HostPort? address) ? address!.Port : null;
}
