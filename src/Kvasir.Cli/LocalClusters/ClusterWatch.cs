using System.Globalization;

namespace Kvasir.Cli.LocalClusters;

/// <summary>Watches the nodes of a cluster on this machine until it is told to stop: says loudly when one dies.</summary>
internal sealed class ClusterWatch
{
    // A node that dies at once, again and again, is not started in a busy loop.
    private static readonly TimeSpan s_pauseMax = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan s_pauseFirst = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan s_healthy = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(500);

    // Ctrl-C reaches the nodes, too: those that end with 0 at that moment have not died.
    private static readonly TimeSpan s_beforeItIsSaid = TimeSpan.FromMilliseconds(300);

    private readonly LocalCluster _cluster;
    private readonly bool _restarts;
    private readonly Action<string> _say;

    /// <param name="cluster">Whose nodes run.</param>
    /// <param name="restarts">Whether nodes that died are started again.</param>
    /// <param name="say">Takes lines for the person in front.</param>
    public ClusterWatch(LocalCluster cluster, bool restarts, Action<string> say)
    {
        _cluster = cluster;
        _restarts = restarts;
        _say = say;
    }

    /// <summary>Back when cancelled.</summary>
    public Task Run(CancellationToken cancellation) => Task.WhenAll(_cluster.Nodes.Select(n => Watch(n, cancellation)));

    /// <summary>How to start a node again by hand, as a shell takes it.</summary>
    public static string RestartCommand(NodePlace place) => $"{ThisProgram.Name} server --config {ThisProgram.ForShell(Path.GetFullPath(place.SettingsFile))}";

    private async Task Watch(NodePlace place, CancellationToken cancellation)
    {
        TimeSpan pause = s_pauseFirst;
        try
        {
            while (true)
            {
                NodeProcess process = _cluster.ProcessOf(place)!;
                long began = Environment.TickCount64;
                await process.Ended.WaitAsync(cancellation);
                await Task.Delay(s_beforeItIsSaid, cancellation);
                Say($"{place.Name} (process {process.ProcessId}) {process.Fate}{(process.ExitCode is > 0 and < 128 ? ": " + process.Reason : "")}");
                if (process.WasDecommissioned)
                {
                    await UntilSomebodyStartsIt(place, cancellation);
                    return;
                }

                if (!_restarts)
                {
                    Say($"start it again: {RestartCommand(place)}");
                    await UntilSomebodyStartsIt(place, cancellation);
                    return;
                }

                if (Environment.TickCount64 - began > s_healthy.TotalMilliseconds)
                    pause = s_pauseFirst;
                await Task.Delay(pause, cancellation);
                pause = pause < s_pauseMax / 2 ? pause * 2 : s_pauseMax;
                Say(string.Create(CultureInfo.InvariantCulture, $"{place.Name} is started again: process {_cluster.Begin(place).ProcessId}"));
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // Told to stop.
        }
    }

    /// <summary>From here on it is somebody else's process: it is watched by asking whether it answers.</summary>
    private async Task UntilSomebodyStartsIt(NodePlace place, CancellationToken cancellation)
    {
        string gone = $"{place.Name} does not answer any more. Start it again: {RestartCommand(place)}", said = gone;
        bool wasBack = false;
        while (true)
        {
            await Task.Delay(s_look, cancellation);
            bool answers = LocalCluster.Answers(place);
            wasBack |= answers;
            string state = answers ? $"{place.Name} is back, as a process of its own"
                : wasBack && place.IsRunning ? $"{place.Name} does not answer, though a process has its folder open: it is stopped, or has much to do"
                : gone;
            if (state == said)
                continue;
            said = state;
            Say(state);
        }
    }

    private void Say(string text) => _say(string.Create(CultureInfo.InvariantCulture, $"{DateTime.Now:HH:mm:ss} {text}"));
}
