using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using Kvasir.Cli.Administration;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Shell;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.LocalClusters;

/// <summary>A cluster of processes of this program, started and stopped together.</summary>
internal sealed class LocalCluster : IDisposable
{
    private static readonly TimeSpan s_lookAgain = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_answerPatience = TimeSpan.FromSeconds(2);

    // A node that is told to stop saves what it has first; a disk that hangs must not hold up the others for ever.
    private static readonly TimeSpan s_stopPatience = TimeSpan.FromSeconds(60);

    private readonly LocalLayout _layout;
    private readonly string[] _flags;
    private readonly Action<NodePlace, string> _says;
    private readonly NodeProcess?[] _processes;

    /// <param name="layout">Which nodes, where.</param>
    /// <param name="says">Hears the log lines of all nodes, from other threads.</param>
    /// <param name="flags">Further flags for each node's server.</param>
    public LocalCluster(LocalLayout layout, Action<NodePlace, string> says, params string[] flags)
    {
        _layout = layout;
        _says = says;
        _flags = flags;
        _processes = new NodeProcess?[layout.Nodes.Count];
    }

    public IReadOnlyList<NodePlace> Nodes => _layout.Nodes;

    /// <summary>The process of a node; null before it is started.</summary>
    public NodeProcess? ProcessOf(NodePlace place) => _processes[place.Number - 1];

    /// <summary>
    /// Starts all nodes. In a new folder one after another, so that their numbers in the cluster are those of their folders; later
    /// all start at once. Back when every node answers.
    /// </summary>
    public async Task Start(CancellationToken cancellation)
    {
        bool isNew = _layout.IsNew;
        foreach (NodePlace place in Nodes)
        {
            _layout.WriteSettings(place, founds: isNew && place.Number == 1);
            Begin(place);
            if (isNew)
                await UntilMember(place, cancellation);
        }

        foreach (NodePlace place in Nodes)
            await UntilAnswers(place, cancellation);

        // From now on a first node that has lost its folder comes back as a new node of this cluster.
        _layout.WriteSettings(Nodes[0], founds: false);
    }

    /// <summary>Starts one node's process; it need not answer yet.</summary>
    public NodeProcess Begin(NodePlace place)
    {
        _processes[place.Number - 1]?.Dispose();
        NodeProcess process = NodeProcess.Start(place, line => _says(place, line), _flags);
        _processes[place.Number - 1] = process;
        return process;
    }

    /// <summary>Back when a node answers; throws when its process has ended instead.</summary>
    public async Task UntilAnswers(NodePlace place, CancellationToken cancellation)
    {
        while (!Answers(place))
        {
            ThrowIfEnded(place);
            await Task.Delay(s_lookAgain, cancellation);
        }
    }

    /// <summary>Back when a node has its number; throws when its process has ended instead.</summary>
    private async Task UntilMember(NodePlace place, CancellationToken cancellation)
    {
        while (!IsMember(place))
        {
            ThrowIfEnded(place);
            await Task.Delay(s_lookAgain, cancellation);
        }
    }

    private static bool IsMember(NodePlace place)
    {
        try
        {
            return ClusterSurvey.AskOne(AddressOf(place), password: null, s_answerPatience).Node > 0;
        }
        catch (Exception e) when (e is UsageException or RefusedException or SocketException or IOException or RespFormatException)
        {
            return false;
        }
    }

    /// <summary>Back when keyspaces have a leader and this many copies in each of their shards.</summary>
    /// <param name="keyspaces">Their names.</param>
    /// <param name="copies">Voters that answer, of each shard.</param>
    /// <param name="lacking">Hears what is still missing, now and then.</param>
    /// <param name="cancellation">Ends the wait.</param>
    public async Task UntilReplicated(IReadOnlyList<string> keyspaces, int copies, Action<string> lacking, CancellationToken cancellation)
    {
        Stopwatch said = Stopwatch.StartNew();
        while (Lacking(keyspaces, copies) is { } missing)
        {
            foreach (NodePlace place in Nodes)
                ThrowIfEnded(place);
            if (said.Elapsed > TimeSpan.FromSeconds(5))
            {
                lacking(missing);
                said.Restart();
            }

            await Task.Delay(s_lookAgain, cancellation);
        }
    }

    /// <summary>What <c>kvasir status</c> would warn of, whichever node it asks; null when nothing. Throws when a node's process has ended.</summary>
    public string? Unwell()
    {
        foreach (NodePlace place in Nodes)
        {
            ThrowIfEnded(place);
            if (Survey(place) is not { } survey)
                return $"{place.Name} does not answer STATUS";
            if (ClusterWarnings.Of(survey) is [var first, ..])
                return first;
        }

        return null;
    }

    /// <summary>What the first node that answers says of all, or null when none does.</summary>
    public ClusterSurvey? Survey()
    {
        // Where one does not answer the next one may know.
        foreach (NodePlace place in Nodes)
        {
            if (Survey(place) is { } survey)
                return survey;
        }

        return null;
    }

    private static ClusterSurvey? Survey(NodePlace place)
    {
        try
        {
            return ClusterSurvey.Ask(AddressOf(place), password: null, s_answerPatience);
        }
        catch (Exception e) when (e is UsageException or RefusedException or SocketException or IOException or RespFormatException)
        {
            return null;
        }
    }

    public static HostPort AddressOf(NodePlace place) => new("127.0.0.1", place.RespPort);

    public static bool Answers(NodePlace place)
    {
        try
        {
            using RespConnection connection = RespConnection.Open(AddressOf(place));
            connection.Socket.ReceiveTimeout = (int)s_answerPatience.TotalMilliseconds;
            return connection.Call("PING").Kind == RespReplyKind.SimpleString;
        }
        catch (Exception e) when (e is UsageException or IOException or SocketException or RespFormatException)
        {
            return false;
        }
    }

    /// <summary>SIGTERM to all at once, and their ends. True when each ended by itself with exit code 0.</summary>
    public async Task<bool> Stop()
    {
        bool clean = true;
        NodeProcess[] running = [.. _processes.OfType<NodeProcess>().Where(p => !p.HasEnded)];
        foreach (NodeProcess process in running)
        {
            process.Signal(ProcessSignal.Continue);
            process.Signal(ProcessSignal.Terminate);
        }

        foreach (NodeProcess process in running)
        {
            try
            {
                await process.Ended.WaitAsync(s_stopPatience);
                clean &= process.ExitCode == 0;
            }
            catch (TimeoutException)
            {
                process.Kill();
                clean = false;
            }
        }

        return clean;
    }

    public void Dispose()
    {
        foreach (NodeProcess? process in _processes)
            process?.Dispose();
    }

    private string? Lacking(IReadOnlyList<string> keyspaces, int copies)
    {
        if (Survey() is not { } survey)
            return "no node answers STATUS";

        // One whose folder was lost stays known, and holds nothing any more.
        NodeFound? silent = survey.Nodes.FirstOrDefault(n => n.Answer is null && survey.First.Groups.Any(g => g.Replicas.Contains(n.Node.Id)));
        if (survey.Nodes.Count < Nodes.Count)
            return string.Create(CultureInfo.InvariantCulture, $"{survey.Nodes.Count} of {Nodes.Count} nodes have joined");
        return keyspaces.Select(k => survey.Lacking(k, copies)).FirstOrDefault(l => l is not null)
            ?? (silent is null ? null : $"node {silent.Node.Id} does not answer: {silent.Silence}");
    }

    private void ThrowIfEnded(NodePlace place)
    {
        if (ProcessOf(place) is { HasEnded: true } process)
            throw new UsageException($"{place.Name} {process.Fate}: {process.Reason}");
    }
}
