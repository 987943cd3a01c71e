using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Kvasir.Cli.Shell;
using Kvasir.Cli.Tests.Processes;
using static Kvasir.Cli.Tests.ScriptedServer;

namespace Kvasir.Cli.Tests.Administration;

/// <summary><c>kvasir keyspace convert</c>, on a server of the test's own and on a real one.</summary>
public sealed class ConvertTests
{
    [Fact]
    public async Task ItShowsHowFarItIsAndHowItEnded()
    {
        Queue<string> states = new(["copying", "comparing", "done"]);
        List<string> asked = [];
        using ScriptedServer server = new(words => Answer(words, asked, () => states.Dequeue()));
        Outcome outcome = (await KvasirProcess.Run("keyspace", "convert", "sessions", "--engine", "log", "--port", server.Port)).AssertSuccess();
        Assert.Equal("KEYSPACE CONVERT sessions engine log", asked[0]);
        Assert.Contains("sessions from lsm to log: copying, 17%, 500 rows (0.1 MB) copied, 0 compared, 2.0 MB of log to go\n", outcome.Output, StringComparison.Ordinal);
        Assert.Contains("sessions has the engine log: 500 rows (0.1 MB) copied in 1.5 s; checksum of both, 00ff of 500 rows\n", outcome.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("failed", "sessions has the engine lsm as before: a key is too long\n")]
    [InlineData("aborted", "sessions has the engine lsm as before: a key is too long\n")]
    public async Task WhatDidNotComeToItsEndIsANo(string state, string said)
    {
        using ScriptedServer server = new(words => Answer(words, [], () => state));
        Outcome outcome = await KvasirProcess.Run("keyspace", "convert", "sessions", "--engine", "log", "--port", server.Port);
        Assert.Equal(1, outcome.ExitCode);
        Assert.Equal(said, outcome.Output);
    }

    [Fact]
    public async Task CtrlCEndsItOnTheServer()
    {
        if (OperatingSystem.IsWindows())
            return;
        List<string> asked = [];
        using ScriptedServer server = new(words => Answer(words, asked, () =>
        {
            lock (asked)
                return asked.Contains("KEYSPACE CONVERT sessions ABORT") ? "aborted" : "copying";
        }));

        // Whoever runs the tests in the background of a script ignores the signal, and so would the command.
        using Process process = KvasirProcess.StartUnder(
            ["env", "--default-signal=INT"], new Dictionary<string, string>(StringComparer.Ordinal),
            "keyspace", "convert", "sessions", "--engine", "log", "--json", "--port", server.Port);
        Tools.Until(() =>
        {
            lock (asked)
                return asked.Contains("KEYSPACE CONVERT sessions STATUS");
        }, "it asks how far it is");
        Assert.Equal(0, Tools.Run("kill", "-INT", process.Id.ToString(CultureInfo.InvariantCulture)));
        Outcome outcome = await KvasirProcess.Finish(process);
        Assert.Equal(1, outcome.ExitCode);
        Assert.Contains("\"aborted\"", outcome.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task WithoutAnEngineItSaysWhatItWants() =>
        Assert.Contains("--engine lsm, --engine log or --engine btree", (await KvasirProcess.Run("keyspace", "convert", "db0")).AssertUsageError(), StringComparison.Ordinal);

    [Fact]
    public async Task ARealServerMovesItsDatabasesAndStartsWithThem()
    {
        string folder = Directory.CreateTempSubdirectory("kvasir-convert-").FullName;
        try
        {
            string data = Path.Combine(folder, "data");
            using (RunningServer server = await RunningServer.Start(data, "--databases", "2"))
            {
                using (RespConnection connection = server.Connect())
                    Assert.Equal("OK", connection.Ask(["MSET", .. Enumerable.Range(0, 5000).SelectMany(static i => new[] { $"key:{i}", $"value {i}" })]));
                string port = server.Address.Port.ToString(CultureInfo.InvariantCulture);
                Outcome first = (await KvasirProcess.Run("keyspace", "convert", "db0", "--engine", "log", "--json", "--port", port)).AssertSuccess();
                JsonElement told = JsonDocument.Parse(first.Output).RootElement;
                Assert.Equal("done", told.GetProperty("state").GetString());
                Assert.Equal(5000, told.GetProperty("rows").GetInt64());
                (await KvasirProcess.Run("keyspace", "convert", "db1", "--engine", "btree", "--port", port)).AssertSuccess();
                server.Kill();
            }

            using (RunningServer again = await RunningServer.Start(data, "--databases", "2"))
            {
                using (RespConnection connection = again.Connect())
                {
                    Assert.Equal("5000", connection.Ask("DBSIZE"));
                    Assert.Equal("value 4321", connection.Ask("GET", "key:4321"));
                    string port = again.Address.Port.ToString(CultureInfo.InvariantCulture);
                    (await KvasirProcess.Run("keyspace", "convert", "db1", "--engine", "lsm", "--port", port)).AssertSuccess();
                    Assert.Equal("OK", connection.Ask("SAVE"));
                }

                Assert.Equal(0, await again.Terminate());
            }

            (await KvasirProcess.Run("verify", data)).AssertSuccess();
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string Answer(string[] words, List<string> asked, Func<string> state)
    {
        lock (asked)
            asked.Add(string.Join(' ', words));
        if (words[^1] is not "STATUS")
            return "+OK\r\n";
        string now = state();
        return Map(
            ("keyspace", Text("sessions")), ("from", Text("lsm")), ("to", Text("log")), ("state", Text(now)), ("rows", Number(500)),
            ("bytes", Number(100_000)), ("rows-estimated", Number(1000)), ("rows-compared", Number(0)), ("log-bytes-behind", Number(2_000_000)),
            ("checksum", Text("00ff of 500 rows")), ("reason", Text("a key is too long")), ("elapsed-ms", Number(1500)), ("of-a-later-version", Number(1)));
    }
}
