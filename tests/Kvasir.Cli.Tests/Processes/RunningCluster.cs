using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Shell;

namespace Kvasir.Cli.Tests.Processes;

/// <summary><c>kvasir up</c> in a process of its own.</summary>
internal sealed partial class RunningCluster : IDisposable
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

    public static Task<RunningCluster> Start(string folder, params string[] flags) => StartOf(3, folder, flags);

    public static Task<RunningCluster> StartOf(int nodes, string folder, params string[] flags) =>
        StartOf(nodes, folder, new Dictionary<string, string>(StringComparer.Ordinal), flags);

    /// <param name="nodes">How many.</param>
    /// <param name="folder">Of all of them.</param>
    /// <param name="environment">Settings of all nodes, as <c>KVASIR_</c> variables.</param>
    /// <param name="flags">Of <c>up</c>.</param>
    public static async Task<RunningCluster> StartOf(int nodes, string folder, IReadOnlyDictionary<string, string> environment, params string[] flags)
    {
        RunningCluster cluster = new(KvasirProcess.Start(environment, ["up", "--nodes", $"{nodes}", "--data", folder, "--resp-port", "0", .. flags]), folder);
        using CancellationTokenSource patience = new(Tools.Patience);
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

    public HostPort Address(int node) => new("127.0.0.1", int.Parse(_ports[node], CultureInfo.InvariantCulture));

    public RespConnection Connect(int node) => RespConnection.Open(Address(node));

    /// <summary>As a client that tries again what surely did not happen, and only that.</summary>
    public string Insist(int node, params string[] words) => Insist(_ports[node], words);

    public static string Insist(string port, params string[] words)
    {
        string answer = "";
        Tools.Until(
            () =>
            {
                using RespConnection connection = RespConnection.Open(new HostPort("127.0.0.1", int.Parse(port, CultureInfo.InvariantCulture)));
                answer = connection.Ask(words);
                return !answer.StartsWith("-TRYAGAIN", StringComparison.Ordinal) && !answer.StartsWith("-CLUSTERDOWN", StringComparison.Ordinal)
                    && !answer.StartsWith("-NOTLEADER", StringComparison.Ordinal) && !answer.StartsWith("-TIMEOUT", StringComparison.Ordinal)
                    && !answer.StartsWith("-IOERR", StringComparison.Ordinal);
            },
            $"{string.Join(' ', words)}: {answer}");
        return answer;
    }

    public string ProcessId(int node) => File.ReadAllText($"{_folder}/node-{node + 1}/kvasir.pid").Trim();

    /// <summary>
    /// Stops the node's process as it is. The signal alone does not: until one thread has taken it the others go on, and on a
    /// busy machine that can be long enough to answer a client.
    /// </summary>
    public void Pause(int node) => Tools.Pause(ProcessId(node));

    public void Continue(int node) => Assert.Equal(0, Tools.Run("kill", "-CONT", ProcessId(node)));

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
        using CancellationTokenSource patience = new(Tools.Patience);
        await _process.WaitForExitAsync(patience.Token);
        Assert.Equal(0, _process.ExitCode);
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            string[] before = Nodes();
            _process.Kill(entireProcessTree: true);
            _process.WaitForExit();

            // Nobody waits for the nodes: one that is dying may still be making a file in the folder that is about to be deleted.
            string[] dying = [.. before.Union(Nodes())];
            foreach (string node in Nodes())
                Tools.Run("kill", "-KILL", Path.GetFileName(node));
            Tools.Until(() => !Array.Exists(dying, Directory.Exists), "the nodes are gone");
        }

        _process.Dispose();
    }

    /// <summary>As proc(5) has them: every process that was told of something in the cluster's folder.</summary>
    private string[] Nodes() => [.. Directory.EnumerateDirectories("/proc").Where(p => char.IsAsciiDigit(Path.GetFileName(p)[0]) && IsTold(p))];

    private bool IsTold(string process)
    {
        try
        {
            return File.ReadAllText(process + "/cmdline").Contains(_folder, StringComparison.Ordinal);
        }
        catch (IOException)
        {
            // It ended between the listing and the look at it.
            return false;
        }
    }

    [GeneratedRegex(@"RESP 127\.0\.0\.1:(\d+)")]
    private static partial Regex RespAddress();
}
