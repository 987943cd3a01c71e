using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Shell;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>A server in a process of its own, on a port that the system chose; killed with its owner.</summary>
internal sealed class RunningServer : IDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _errors = new();

    private RunningServer(Process process)
    {
        _process = process;
        _process.ErrorDataReceived += (_, line) =>
        {
            lock (_errors)
                _errors.AppendLine(line.Data);
        };
        _process.BeginErrorReadLine();
    }

    public HostPort Address { get; private set; } = new("127.0.0.1", 0);

    /// <summary>Health and metrics, where it was started with them.</summary>
    public Uri? Http { get; private set; }

    /// <summary>Of the server, whatever it was started under.</summary>
    public int ProcessId { get; private set; }

    public string Errors
    {
        get
        {
            lock (_errors)
                return _errors.ToString();
        }
    }

    public static Task<RunningServer> Start(string data, params string[] flags) => StartUnder([], data, flags);

    /// <summary>Back once it serves.</summary>
    public static async Task<RunningServer> StartUnder(string[] under, string data, params string[] flags)
    {
        RunningServer server = Begin(under, data, flags);
        string? line = await server._process.StandardOutput.ReadLineAsync();
        if (line is null)
        {
            await server._process.WaitForExitAsync();
            server.Dispose();
            Assert.Fail("the server did not start: " + server.Errors);
        }

        JsonElement told = JsonDocument.Parse(line).RootElement;
        string address = told.GetProperty("resp")[0].GetString()!;
        server.ProcessId = told.GetProperty("pid").GetInt32();
        server.Address = new HostPort("127.0.0.1", int.Parse(address[(address.LastIndexOf(':') + 1)..], CultureInfo.InvariantCulture));
        if (told.GetProperty("http").GetString() is { } http)
            server.Http = new Uri("http://" + http);
        return server;
    }

    /// <summary>Back at once: it may not serve yet, and may never.</summary>
    public static RunningServer Begin(string[] under, string data, params string[] flags)
    {
        Process process = KvasirProcess.StartUnder(
            under,
            new Dictionary<string, string>(StringComparer.Ordinal),
            ["server", "--data", data, "--resp", "127.0.0.1:0", "--json", .. flags.Contains("--log-level") ? Array.Empty<string>() : ["--log-level", "error"], .. flags]);
        return new RunningServer(process) { ProcessId = process.Id };
    }

    public RespConnection Connect() => RespConnection.Open(Address);

    public void Signal(string name) => Tools.Run("kill", "-" + name, ProcessId.ToString(CultureInfo.InvariantCulture));

    /// <summary>Back when all of it stands still.</summary>
    public void Pause() => Tools.Pause(ProcessId.ToString(CultureInfo.InvariantCulture));

    /// <summary>How often it has asked the system to read something: how far it has come, roughly, while it starts.</summary>
    public int CountReads()
    {
        string line = File.ReadLines($"/proc/{ProcessId}/io").First(l => l.StartsWith("syscr: ", StringComparison.Ordinal));
        return int.Parse(line.AsSpan("syscr: ".Length), CultureInfo.InvariantCulture);
    }

    public void Kill()
    {
        Signal("KILL");
        _process.WaitForExit();
    }

    /// <summary>SIGTERM; the exit code.</summary>
    public Task<int> Terminate()
    {
        Signal("TERM");
        return End();
    }

    /// <summary>The exit code, once it has ended. Only a hang reaches the time limit.</summary>
    public async Task<int> End()
    {
        using var patience = new CancellationTokenSource(Tools.Patience);
        await _process.WaitForExitAsync(patience.Token);
        return _process.ExitCode;
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
}

/// <summary>Programs that tests use.</summary>
internal static class Tools
{
    /// <summary>Only a hang reaches it: how long something takes on a busy machine is no test's business.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(5);

    private static readonly TimeSpan s_restMax = TimeSpan.FromMilliseconds(100);

    public static bool Has(string name) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists($"{folder}/{name}"));

    /// <summary>The exit code.</summary>
    public static int Run(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { UseShellExecute = false, RedirectStandardError = true, RedirectStandardOutput = true })!;
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode;
    }

    /// <summary>Sends SIGSTOP, and is back when all of the process stands still: until a thread takes the signal the others go on.</summary>
    public static void Pause(string processId)
    {
        Assert.Equal(0, Run("kill", "-STOP", processId));
        Until(() => Directory.EnumerateDirectories($"/proc/{processId}/task").All(IsStopped), $"process {processId} stands still");

        static bool IsStopped(string thread)
        {
            try
            {
                // The state is the first field behind the name, which is in parentheses and may hold some.
                return File.ReadAllText($"{thread}/stat").Split(") ")[^1][0] == 'T';
            }
            catch (IOException)
            {
                // It ended between the listing and the look at it.
                return false;
            }
        }
    }

    /// <summary>Asks until the answer is yes. Only a hang reaches the time limit.</summary>
    public static void Until(Func<bool> holds, string what) => Until(holds, what, restsPerQuestion: 0);

    /// <summary>
    /// As the other, where a question is dear: a survey of a cluster, a program that is started. Asked without a pause such questions take
    /// the core from what they wait for; the next one comes when several times as long has passed as the last one took.
    /// </summary>
    public static void UntilTold(Func<bool> holds, string what) => Until(holds, what, restsPerQuestion: 3);

    private static void Until(Func<bool> holds, string what, int restsPerQuestion)
    {
        // Whoever is waited for needs the core more than whoever waits.
        SpinWait wait = default;
        Stopwatch waited = Stopwatch.StartNew();
        for (TimeSpan asked = TimeSpan.Zero; !holds(); asked = waited.Elapsed)
        {
            Assert.True(waited.Elapsed < Patience, $"in vain: {what}");
            TimeSpan answered = waited.Elapsed, rest = restsPerQuestion * (answered - asked);
            do
                wait.SpinOnce();
            while (waited.Elapsed - answered < (rest < s_restMax ? rest : s_restMax));
        }
    }
}

internal static class RespConnectionAnswers
{
    /// <summary>The reply as text; an error with a minus before it.</summary>
    public static string Ask(this RespConnection connection, params string[] words)
    {
        RespReply reply = connection.Call(words);
        return reply.Kind == RespReplyKind.Error ? "-" + reply.Text : reply.Kind == RespReplyKind.Null ? "nil" : reply.Text;
    }
}
