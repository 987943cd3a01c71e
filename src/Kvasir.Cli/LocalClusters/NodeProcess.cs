using System.Diagnostics;
using System.Globalization;

namespace Kvasir.Cli.LocalClusters;

/// <summary>
/// A node in a process of its own. It holds the other end of its standard input and never writes: when the process that
/// started it is gone, however it went, the input ends and the node stops cleanly.
/// </summary>
internal sealed class NodeProcess : IDisposable
{
    private const int LastLines = 20;
    private const string Complaint = "kvasir: ";

    private readonly Process _process;
    private readonly Queue<string> _said = new();

    private NodeProcess(NodePlace place, Process process)
    {
        Place = place;
        _process = process;
        Ended = process.WaitForExitAsync();
    }

    public NodePlace Place { get; }

    public int ProcessId => _process.Id;

    /// <summary>Completes when the process has ended.</summary>
    public Task Ended { get; }

    public bool HasEnded => _process.HasExited;

    /// <summary>Of a process that has ended, in words.</summary>
    public string Fate => _process.ExitCode > 128
        ? string.Create(CultureInfo.InvariantCulture, $"was ended by signal {_process.ExitCode - 128}")
        : string.Create(CultureInfo.InvariantCulture, $"ended with exit code {_process.ExitCode}");

    public int ExitCode => _process.ExitCode;

    /// <summary>The last that it said on either stream.</summary>
    public string LastWords
    {
        get
        {
            lock (_said)
                return string.Join(" | ", _said);
        }
    }

    /// <summary>Why a process has ended by itself: the line that the program says last, without its name.</summary>
    public string Reason
    {
        get
        {
            lock (_said)
                return _said.LastOrDefault(static l => l.StartsWith(Complaint, StringComparison.Ordinal))?[Complaint.Length..] ?? _said.LastOrDefault() ?? "";
        }
    }

    /// <summary>The cluster took it out for good: with this folder it will never be let in again.</summary>
    public bool WasDecommissioned => ExitCode == CommandLine.ExitCode.Usage && Reason.Contains("was decommissioned", StringComparison.Ordinal);

    /// <param name="place">Where it lies and listens; its settings file must be there.</param>
    /// <param name="says">Hears each line of its log, from another thread.</param>
    /// <param name="more">Further flags of the server.</param>
    public static NodeProcess Start(NodePlace place, Action<string>? says, params IEnumerable<string> more)
    {
        Process process = ThisProgram.StartUnder(place.Under, ["server", "--config", place.SettingsFile, "--stop-at-stdin-end", "--json", .. more]);
        NodeProcess node = new(place, process);
        process.OutputDataReceived += (_, e) => node.Hear(e.Data, says: null);
        process.ErrorDataReceived += (_, e) => node.Hear(e.Data, says);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return node;
    }

    public void Signal(ProcessSignal signal)
    {
        if (!_process.HasExited)
            ThisProgram.Signal(_process.Id, signal);
    }

    /// <summary>SIGKILL; back when the process is gone.</summary>
    public void Kill()
    {
        if (_process.HasExited)
            return;
        _process.Kill();
        _process.WaitForExit();
    }

    public void Dispose()
    {
        Kill();
        _process.Dispose();
    }

    private void Hear(string? line, Action<string>? says)
    {
        if (line is null)
            return;
        lock (_said)
        {
            _said.Enqueue(line);
            if (_said.Count > LastLines)
                _said.Dequeue();
        }

        says?.Invoke(line);
    }
}
