using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Shell;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>Whole clusters of real processes, as <c>kvasir up --nodes 3</c> starts them.</summary>
public sealed partial class ClusterTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-cluster-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task AnyNodeServesEveryKeyAndAnyMayDie()
    {
        using RunningCluster cluster = await RunningCluster.Start(_folder);
        for (int i = 0; i < 60; i++)
            Assert.Equal("OK", Insist(cluster, i % 3, "SET", $"key{i}", $"value{i}"));
        for (int i = 0; i < 60; i++)
            Assert.Equal($"value{i}", Insist(cluster, (i + 1) % 3, "GET", $"key{i}"));

        // On a busy machine a shard may be between two leaders at the moment that it is asked.
        Tools.Until(() => KvasirProcess.Run("status", "-p", cluster.Port(1)).GetAwaiter().GetResult() is { ExitCode: 0 } status
            && status.Output.Contains("3 nodes", StringComparison.Ordinal), "all is well");
        for (int victim = 0; victim < 3; victim++)
        {
            Tools.Run("kill", "-KILL", cluster.ProcessId(victim));
            Assert.Contains("kvasir server --config", await cluster.Error(l => l.Contains("start it again", StringComparison.Ordinal)), StringComparison.Ordinal);
            int other = (victim + 1) % 3;
            for (int i = 0; i < 20; i++)
                Assert.Equal("OK", Insist(cluster, other, "SET", $"during{victim}:{i}", "x"));
            for (int i = 0; i < 60; i++)
                Assert.Equal($"value{i}", Insist(cluster, other, "GET", $"key{i}"));

            // The printed command is for a shell; this is what it does.
            using Process again = KvasirProcess.Start("server", "--config", $"{_folder}/node-{victim + 1}.conf", "--json");
            Assert.NotNull(await again.StandardOutput.ReadLineAsync());
            await cluster.Error(l => l.Contains("is back", StringComparison.Ordinal));
            Tools.Until(() => KvasirProcess.Run("status", "-p", cluster.Port(other)).GetAwaiter().GetResult().ExitCode == 0, "all copies are back");
        }

        // Those that were started by hand stop with the rest.
        await cluster.Terminate();
        Assert.Empty(Directory.GetFiles(_folder, "kvasir.pid", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task WhatWasWrittenIsThereAfterAllWereStoppedAndStartedAgain()
    {
        using (RunningCluster cluster = await RunningCluster.Start(_folder))
        {
            for (int i = 0; i < 30; i++)
                Assert.Equal("OK", Insist(cluster, i % 3, "SET", $"key{i}", $"value{i}"));
            await cluster.Terminate();
        }

        using RunningCluster again = await RunningCluster.Start(_folder);
        for (int i = 0; i < 30; i++)
            Assert.Equal($"value{i}", Insist(again, i % 3, "GET", $"key{i}"));
        await again.Terminate();
    }

    [Fact]
    public async Task AClusterThatLostItsMajorityGoesOnWithOneNode()
    {
        string port;
        using (RunningCluster cluster = await RunningCluster.Start(_folder))
        {
            for (int i = 0; i < 10; i++)
                Assert.Equal("OK", Insist(cluster, i % 3, "SET", $"key{i}", $"value{i}"));
            port = cluster.Port(0);
            Assert.Contains("stop it first", (await KvasirProcess.Run("recover", $"{_folder}/node-1", "--yes")).AssertUsageError(), StringComparison.Ordinal);
            await cluster.Terminate();
        }

        Directory.Delete($"{_folder}/node-2", recursive: true);
        Directory.Delete($"{_folder}/node-3", recursive: true);
        Assert.Contains("Nothing was changed", (await KvasirProcess.Run("recover", $"{_folder}/node-1")).AssertSuccess().Output, StringComparison.Ordinal);
        Assert.Contains("cluster of one", (await KvasirProcess.Run("recover", $"{_folder}/node-1", "--yes")).AssertSuccess().Output, StringComparison.Ordinal);
        using Process alone = KvasirProcess.Start("server", "--config", $"{_folder}/node-1.conf", "--json");
        Assert.NotNull(await alone.StandardOutput.ReadLineAsync());
        for (int i = 0; i < 10; i++)
            Assert.Equal($"value{i}", Insist(port, "GET", $"key{i}"));
        Assert.Equal("OK", Insist(port, "SET", "key0", "afterwards"));
        Tools.Run("kill", "-TERM", alone.Id.ToString(CultureInfo.InvariantCulture));
        await alone.WaitForExitAsync();
        Assert.Equal(0, alone.ExitCode);
        Assert.Contains("is not the folder of a cluster's node", (await KvasirProcess.Run("recover", _folder)).AssertUsageError(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task NodesDoNotOutliveTheirParentUnnoticed()
    {
        using RunningCluster cluster = await RunningCluster.Start(_folder);
        int[] processes = [.. Enumerable.Range(0, 3).Select(i => int.Parse(cluster.ProcessId(i), CultureInfo.InvariantCulture))];
        cluster.Kill();
        Tools.Until(() => processes.All(p => !Directory.Exists($"/proc/{p}")), "the nodes end");
        Assert.Empty(Directory.GetFiles(_folder, "kvasir.pid", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task WithRestartADeadNodeComesBackByItself()
    {
        using RunningCluster cluster = await RunningCluster.Start(_folder, "--restart");
        string before = cluster.ProcessId(1);
        Tools.Run("kill", "-KILL", before);
        await cluster.Error(l => l.Contains("node-2 is started again", StringComparison.Ordinal));
        Tools.Until(() => KvasirProcess.Run("status", "-p", cluster.Port(0)).GetAwaiter().GetResult().ExitCode == 0, "all copies are back");
        Assert.NotEqual(before, cluster.ProcessId(1));
        await cluster.Terminate();
    }

    [Fact]
    public async Task AShortTortureEndsWell()
    {
        Outcome outcome = (await KvasirProcess.Run("torture", "--nodes", "3", "--minutes", "0.25", "--clients", "4", "--json")).AssertSuccess();
        Assert.Contains("\"verdict\":\"valid\"", outcome.Output, StringComparison.Ordinal);
    }

    /// <summary>As a client that tries again what surely did not happen, and only that.</summary>
    private static string Insist(RunningCluster cluster, int node, params string[] words) => Insist(cluster.Port(node), words);

    private static string Insist(string port, params string[] words)
    {
        string answer = "";
        Tools.Until(
            () =>
            {
                using RespConnection connection = RespConnection.Open(new HostPort("127.0.0.1", int.Parse(port, CultureInfo.InvariantCulture)));
                answer = connection.Ask(words);
                return !answer.StartsWith("-TRYAGAIN", StringComparison.Ordinal) && !answer.StartsWith("-CLUSTERDOWN", StringComparison.Ordinal)
                    && !answer.StartsWith("-NOTLEADER", StringComparison.Ordinal) && !answer.StartsWith("-TIMEOUT", StringComparison.Ordinal);
            },
            $"{string.Join(' ', words)}: {answer}");
        return answer;
    }

    /// <summary><c>kvasir up</c> in a process of its own.</summary>
    private sealed partial class RunningCluster : IDisposable
    {
        private readonly Process _process;
        private readonly string _folder;
        private readonly List<string> _errors = [];
        private readonly List<string> _ports = [];
        private int _seen;

        private RunningCluster(Process process, string folder)
        {
            _process = process;
            _folder = folder;
            _process.ErrorDataReceived += (_, line) =>
            {
                lock (_errors)
                    _errors.Add(line.Data ?? "");
            };
            _process.BeginErrorReadLine();
        }

        public static async Task<RunningCluster> Start(string folder, params string[] flags)
        {
            RunningCluster cluster = new(KvasirProcess.Start(["up", "--nodes", "3", "--data", folder, "--resp-port", "0", .. flags]), folder);
            using CancellationTokenSource patience = new(TimeSpan.FromMinutes(2));
            while (await cluster.NextLine(patience.Token) is { } line)
            {
                if (RespAddress().Match(line) is { Success: true } match)
                    cluster._ports.Add(match.Groups[1].Value);
                if (line.StartsWith("Ctrl-C", StringComparison.Ordinal))
                    return cluster;
            }

            cluster.Dispose();
            lock (cluster._errors)
                Assert.Fail("the cluster did not start: " + string.Join(Environment.NewLine, cluster._errors));
            return cluster;
        }

        public string Port(int node) => _ports[node];

        public string ProcessId(int node) => File.ReadAllText($"{_folder}/node-{node + 1}/kvasir.pid").Trim();

        /// <summary>The next line on standard error that this is true of.</summary>
        public Task<string> Error(Func<string, bool> wanted)
        {
            string found = "";
            Tools.Until(
                () =>
                {
                    lock (_errors)
                    {
                        while (_seen < _errors.Count)
                        {
                            found = _errors[_seen++];
                            if (wanted(found))
                                return true;
                        }
                    }

                    return false;
                },
                "a line on standard error");
            return Task.FromResult(found);
        }

        private async Task<string?> NextLine(CancellationToken cancellation)
        {
            try
            {
                return await _process.StandardOutput.ReadLineAsync(cancellation);
            }
            catch (OperationCanceledException)
            {
                return null;
            }
        }

        public void Kill()
        {
            Tools.Run("kill", "-KILL", _process.Id.ToString(CultureInfo.InvariantCulture));
            _process.WaitForExit();
        }

        public async Task Terminate()
        {
            Tools.Run("kill", "-TERM", _process.Id.ToString(CultureInfo.InvariantCulture));
            using CancellationTokenSource patience = new(TimeSpan.FromMinutes(1));
            await _process.WaitForExitAsync(patience.Token);
            Assert.Equal(0, _process.ExitCode);
        }

        public void Dispose()
        {
            if (!_process.HasExited)
            {
                _process.Kill(entireProcessTree: true);
                _process.WaitForExit();
            }

            _process.Dispose();
        }

        [GeneratedRegex(@"RESP 127\.0\.0\.1:(\d+)")]
        private static partial Regex RespAddress();
    }
}
