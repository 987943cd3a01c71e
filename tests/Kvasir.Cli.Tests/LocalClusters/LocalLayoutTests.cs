using System.Globalization;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.LocalClusters;

namespace Kvasir.Cli.Tests.LocalClusters;

public sealed class LocalLayoutTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-layout-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void NodesHaveFoldersAndPortsOfTheirOwn()
    {
        LocalLayout layout = LocalLayout.Prepare(_folder, 3, 7000, 128);
        Assert.True(layout.IsNew);
        Assert.Equal(["127.0.0.1:7000", "127.0.0.1:7001", "127.0.0.1:7002"], layout.Nodes.Select(n => n.Resp));
        Assert.Equal(["node-1", "node-2", "node-3"], layout.Nodes.Select(n => Path.GetFileName(n.Folder)));
        Assert.Equal(6, layout.Nodes.SelectMany(n => new[] { n.PeerPort, n.HttpPort }).Distinct().Count());
    }

    [Theory]
    [InlineData("/data/node-1.conf", "/data/node-1.conf")]
    [InlineData("/my data/it's.conf", "'/my data/it'\\''s.conf'")]
    public void WhatIsToBeCopiedIntoAShellIsQuotedWhereItMust(string word, string shown) => Assert.Equal(shown, ThisProgram.ForShell(word));

    [Fact]
    public void PortsBetweenNodesAreKeptOverStarts()
    {
        LocalLayout first = LocalLayout.Prepare(_folder, 3, 7000, 128);
        foreach (NodePlace node in first.Nodes)
            first.WriteSettings(node, founds: node.Number == 1);
        LocalLayout second = LocalLayout.Prepare(_folder, 4, 8000, 128);
        Assert.Equal(first.Nodes.Select(n => (n.PeerPort, n.HttpPort)), second.Nodes.Take(3).Select(n => (n.PeerPort, n.HttpPort)));
        Assert.Equal(8003, second.Nodes[3].RespPort);
    }

    [Fact]
    public void TheFirstNodeJoinsNobodyWhenItFoundsAndAllOthersAfterwards()
    {
        LocalLayout layout = LocalLayout.Prepare(_folder, 3, 7000, 128);
        layout.WriteSettings(layout.Nodes[0], founds: true);
        Assert.Null(Setting(layout.Nodes[0], "join"));
        layout.WriteSettings(layout.Nodes[0], founds: false);
        layout.WriteSettings(layout.Nodes[1], founds: false);
        Assert.Equal($"{layout.Nodes[1].Peer},{layout.Nodes[2].Peer}", Setting(layout.Nodes[0], "join"));
        Assert.Equal($"{layout.Nodes[0].Peer},{layout.Nodes[2].Peer}", Setting(layout.Nodes[1], "join"));
        Assert.Equal(Path.Combine(_folder, "node-2"), Setting(layout.Nodes[1], "data"));
        Assert.Null(Setting(layout.Nodes[1], "peer-advertise"));
    }

    [Fact]
    public void WhatStandsBetweenNodesIsWhatTheyAreTold()
    {
        LocalLayout layout = LocalLayout.Prepare(_folder, 3, 7000, 128, [9001, 9002, 9003]);
        layout.WriteSettings(layout.Nodes[1], founds: false);
        Assert.Equal("127.0.0.1:9001,127.0.0.1:9003", Setting(layout.Nodes[1], "join"));
        Assert.Equal("127.0.0.1:9002", Setting(layout.Nodes[1], "peer-advertise"));
        Assert.Equal("127.0.0.1:" + layout.Nodes[1].PeerPort.ToString(CultureInfo.InvariantCulture), Setting(layout.Nodes[1], "peer"));
    }

    [Fact]
    public void AClusterIsNotStartedInPart()
    {
        for (int i = 1; i <= 3; i++)
            Directory.CreateDirectory($"{_folder}/node-{i}");
        Assert.Equal(3, LocalLayout.CountIn(_folder));
        Assert.Contains("--nodes 3", Assert.Throws<UsageException>(() => LocalLayout.Prepare(_folder, 2, 7000, 128)).Message, StringComparison.Ordinal);
        File.WriteAllText(_folder + "/node-2/CLUSTER", "");
        Assert.False(LocalLayout.Prepare(_folder, 3, 7000, 128).IsNew);
    }

    [Fact]
    public void TheDataOfALoneServerIsLeftAlone()
    {
        File.WriteAllText(_folder + "/NODE", "");
        Assert.Contains("stands alone", Assert.Throws<UsageException>(() => LocalLayout.Prepare(_folder, 3, 7000, 128)).Message, StringComparison.Ordinal);
    }

    private static string? Setting(NodePlace node, string key) =>
        File.ReadAllLines(node.SettingsFile).Where(l => l.StartsWith(key + " ", StringComparison.Ordinal)).Select(l => l[(key.Length + 1)..]).SingleOrDefault();
}
