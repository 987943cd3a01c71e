using System.Diagnostics;
using System.Net;
using System.Text.Json;
using Kvasir.Cli.LocalClusters;
using Kvasir.Cli.Tests.Processes;
using Kvasir.Storage.Machine;

namespace Kvasir.Cli.Tests;

public sealed class ServerCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Data => Path.Combine(_folder, "data");

    [Fact]
    public async Task WhatWasWrittenIsThereAfterATermSignalAndARestart()
    {
        using (Process first = Start())
        {
            string port = await PortOf(first);
            Assert.Equal("OK\n", (await KvasirProcess.Run("shell", "-p", port, "SET", "greeting", "hello")).AssertSuccess().Output);
            Assert.Contains("is open in another process", (await KvasirProcess.Run("verify", Data)).AssertUsageError(), StringComparison.Ordinal);
            Outcome second = await KvasirProcess.Run("server", "--data", Data, "--resp", "127.0.0.1:0", "--log-level", "error");
            Assert.Contains("another server has the folder", second.AssertUsageError(), StringComparison.Ordinal);
            Outcome taken = await KvasirProcess.Run(
                "server", "--data", Path.Combine(_folder, "other"), "--resp", "127.0.0.1:" + port, "--log-level", "error");
            Assert.Contains(port, taken.AssertUsageError(), StringComparison.Ordinal);
            Outcome takenByHttp = await KvasirProcess.Run(
                "server", "--data", Path.Combine(_folder, "other"), "--resp", "127.0.0.1:0", "--http", "127.0.0.1:" + port, "--log-level", "error");
            Assert.Contains(port, takenByHttp.AssertUsageError(), StringComparison.Ordinal);
            Assert.Empty(Directory.GetFiles(Path.Combine(_folder, "other"), "kvasir.pid*"));
            Assert.Equal(["kvasir.pid"], Directory.GetFiles(Data, "kvasir.pid*").Select(Path.GetFileName));
            await Terminate(first);
        }

        Assert.Contains("sound", (await KvasirProcess.Run("verify", Data)).AssertSuccess().Output, StringComparison.Ordinal);
        string copy = Path.Combine(_folder, "copy");
        (await KvasirProcess.Run("checkpoint", Data, copy)).AssertSuccess();
        Assert.Contains("lies inside", (await KvasirProcess.Run("checkpoint", Data, Data + "/db0/copy")).AssertUsageError(), StringComparison.Ordinal);
        foreach (string folder in new[] { Data, copy })
        {
            using Process again = Start("--data", folder);
            string port = await PortOf(again);
            Assert.Equal("hello\n", (await KvasirProcess.Run("shell", "-p", port, "GET", "greeting")).AssertSuccess().Output);
            await Terminate(again);
        }
    }

    [Fact]
    public async Task TheNumberOfAnEarlierProcessIsNotLeftWhereANewOneCannotTakeItsPlaceInOneStep()
    {
        Directory.CreateDirectory(Path.Combine(Data, "kvasir.pid.new", "not empty"));
        string path = Path.Combine(Data, "kvasir.pid");
        await File.WriteAllTextAsync(path, "1\n");
        using Process server = Start();
        await PortOf(server);
        Assert.NotEqual("1\n", File.Exists(path) ? await File.ReadAllTextAsync(path) : "");
        await Terminate(server);
    }

    /// <summary>One bit at a time, in every file that a server left: refused, named, or not needed; never served.</summary>
    [Theory]
    [InlineData("lsm", "*.sst", "MANIFEST", "CURRENT")]
    [InlineData("log", "*.log", "HASHLOG")]
    [InlineData("btree", "tree")]
    public async Task NoFlippedBitOfAStoppedServersFilesIsServed(string engine, params string[] files)
    {
        using (Process server = Start("--data", Data, "--databases", "2", "--engine", engine))
        {
            string port = await PortOf(server);
            for (int round = 0; round < 3; round++)
            {
                string keys = string.Join(' ', Enumerable.Range(0, 60).Select(i => $"key:{i} value-{round}-{i * 7919}"));
                string input = $"MSET {keys}\nSET expires soon PX 99999999\nDEL key:{round}\nSELECT 1\nSET other {round}\n"
                    + (round < 2 ? $"SAVE\n" : "");
                (await KvasirProcess.RunWithInput(input, "shell", "-p", port)).AssertSuccess();
            }

            await Terminate(server);
        }

        Outcome sweep = (await KvasirProcess.Run("simulate", "damage", Data, "--flips", "10", "--json")).AssertSuccess();
        using JsonDocument report = JsonDocument.Parse(sweep.Output);
        JsonElement fates = report.RootElement.GetProperty("fates");
        foreach (string file in (string[])[.. files, "NODE", "*.segment"])
            Assert.True(fates.TryGetProperty(file + ": refused", out _), $"{file} was never refused: {sweep.Output}");
    }

    [Fact]
    public async Task DamageIsFoundWithItsFileAndOffset()
    {
        using (Process server = Start())
        {
            string port = await PortOf(server);
            (await KvasirProcess.Run("shell", "-p", port, "SET", "a", "b")).AssertSuccess();
            await Terminate(server);
        }

        string identity = Path.Combine(Data, "NODE");
        Assert.Contains("identity", (await KvasirProcess.Run("inspect", identity)).AssertSuccess().Output, StringComparison.Ordinal);
        byte[] bytes = await File.ReadAllBytesAsync(identity);
        bytes[17] ^= 4;
        await File.WriteAllBytesAsync(identity, bytes);
        Assert.Equal(1, (await KvasirProcess.Run("inspect", identity)).ExitCode);
        Outcome outcome = await KvasirProcess.Run("verify", "--json", Data);
        Assert.Equal(1, outcome.ExitCode);
        JsonElement report = JsonDocument.Parse(outcome.Output).RootElement;
        Assert.False(report.GetProperty("sound").GetBoolean());
        Assert.Equal(identity, report.GetProperty("damage")[0].GetProperty("file").GetString());
    }

    [Theory]
    [InlineData("keyspaces/db0", "keyspaces/db0 is missing")]
    [InlineData("keyspaces/db0/CURRENT", "CURRENT is missing")]
    [InlineData("keyspaces", "keyspaces/system is missing")]
    [InlineData("journal", "no journal segment")]
    public async Task WhatAStartRefusesVerifyReports(string lost, string says)
    {
        using (Process server = Start())
        {
            string port = await PortOf(server);
            (await KvasirProcess.Run("shell", "-p", port, "SET", "a", "b")).AssertSuccess();
            await Terminate(server);
        }

        // A journal whose files are gone is the harder case: an empty folder looks like one that was never used.
        string path = Path.Combine(Data, lost);
        if (File.Exists(path))
            File.Delete(path);
        else
            Directory.Delete(path, recursive: true);
        if (lost == "journal")
            Directory.CreateDirectory(path);
        Outcome verified = await KvasirProcess.Run("verify", Data);
        Assert.Equal(1, verified.ExitCode);
        Assert.Contains(path, verified.Output, StringComparison.Ordinal);
        string refused = (await KvasirProcess.Run("server", "--data", Data, "--resp", "127.0.0.1:0", "--log-level", "error")).AssertUsageError();
        Assert.Contains(says, refused, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("NODE", "")]
    [InlineData("keyspaces/db0", "CURRENT")]
    [InlineData("keyspaces/db0", "MANIFEST-*")]
    [InlineData("journal", "*.segment")]
    public async Task APipeInAFilesPlaceIsNamedAndNotWaitedFor(string where, string name)
    {
        using (Process server = Start())
        {
            string port = await PortOf(server);
            (await KvasirProcess.Run("shell", "-p", port, "SET", "a", "b")).AssertSuccess();
            await Terminate(server);
        }

        string path = name.Length == 0 ? Path.Combine(Data, where) : Directory.GetFiles(Path.Combine(Data, where), name).Order(StringComparer.Ordinal).First();
        File.Delete(path);
        Assert.Equal(0, Tools.Run("mkfifo", path));
        Outcome verified = await KvasirProcess.Run("verify", Data);
        Assert.Equal(1, verified.ExitCode);
        Assert.Contains(path, verified.Output, StringComparison.Ordinal);
        Assert.Contains("is not a regular file", verified.Output, StringComparison.Ordinal);
        string refused = (await KvasirProcess.Run("server", "--data", Data, "--resp", "127.0.0.1:0", "--log-level", "error")).AssertUsageError();
        Assert.Contains("is not a regular file", refused, StringComparison.Ordinal);
    }

    [NeedsSmallDiskTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task AFolderThatCannotBeWrittenIsVerified(bool hasLock)
    {
        using (Process server = Start())
        {
            string port = await PortOf(server);
            (await KvasirProcess.Run("shell", "-p", port, "SET", "a", "b")).AssertSuccess();
            await Terminate(server);
        }

        string lockPath = Path.Combine(Data, "LOCK");
        if (!hasLock)
            File.Delete(lockPath);
        using var disk = new SmallDisk(0, bindReadOnly: Data);
        var none = new Dictionary<string, string>(StringComparer.Ordinal);
        using (Process process = KvasirProcess.StartUnder(disk.Under, none, "verify", "/mnt"))
        {
            Outcome verified = (await KvasirProcess.Finish(process)).AssertSuccess();
            Assert.Contains("sound", verified.Output, StringComparison.Ordinal);
            Assert.Equal(!hasLock, verified.Error.Contains("has no LOCK", StringComparison.Ordinal));
        }

        if (!hasLock)
            return;

        // Who holds it elsewhere is noticed.
        using IDisposable held = new PosixFileSystem().Lock(lockPath);
        using Process refused = KvasirProcess.StartUnder(disk.Under, none, "verify", "/mnt");
        Assert.Contains("is open in another process", (await KvasirProcess.Finish(refused)).AssertUsageError(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task VerifyCountsEveryFileThatHoldsData()
    {
        using (Process server = Start("--databases", "2"))
        {
            string port = await PortOf(server);
            (await KvasirProcess.Run("shell", "-p", port, "SET", "a", "b")).AssertSuccess();
            await Terminate(server);
        }

        string fewer = (await KvasirProcess.Run("server", "--data", Data, "--databases", "1", "--resp", "127.0.0.1:0")).AssertUsageError();
        Assert.Contains("has 2 databases", fewer, StringComparison.Ordinal);
        JsonElement report = JsonDocument.Parse((await KvasirProcess.Run("verify", "--json", Data)).AssertSuccess().Output).RootElement;

        // NODE, FLUSHED, a segment of the journal, and CURRENT and a manifest of the system keyspace and of two databases.
        Assert.Equal(9, report.GetProperty("files").GetInt32());
    }

    [Theory]
    [InlineData("server --durability maybe", "maybe")]
    [InlineData("server --resp nowhere", "HOST:PORT")]
    [InlineData("server --memory-mib 1", "memory-mib")]
    [InlineData("server --data /proc/version", "/proc/version is a file")]
    [InlineData("server --data NEW --tls-cert-file cert.pem --tls-key-file key.pem", "tls-cert-file is for resp-tls, which is not given")]
    [InlineData("server --data NEW --tls-ca-cert-file ca.pem", "tls-ca-cert-file is for resp-tls, which is not given")]
    [InlineData("server --config /no/such/file", "/no/such/file")]
    [InlineData("server --database-durability 3=often", "often")]
    [InlineData("server --database-durability 16=none", "databases 0 to 15")]
    [InlineData("server --otlp-endpoint nowhere", "otlp-endpoint")]
    [InlineData("server --otlp-endpoint http://127.0.0.1:1 --otlp-protocol udp", "grpc or http")]
    [InlineData("server --data NEW --resp 127.0.0.1:0 --peer 127.0.0.1:0", "0 will not do without resp-advertise")]
    [InlineData("server --data NEW --peer 127.0.0.1:0 --durability none", "the databases of a cluster sync before they answer")]
    [InlineData("server --data NEW --peer 127.0.0.1:0 --peer-tls-cert-file /no/c --peer-tls-key-file /no/k --peer-tls-ca-cert-file /no/a", "peer-tls: ")]
    [InlineData("server --data NEW --join 127.0.0.1:1", "join is for a node of a cluster")]
    [InlineData("up --nodes 0", "not '0'")]
    [InlineData("up --nodes 3 --http-port 7", "--http-port is for one node")]
    [InlineData("up --nodes 3 --resp-port 65535", "leaves no room")]
    [InlineData("up --restart", "--restart is for the nodes of a cluster")]
    [InlineData("torture --nodes 2", "of two nodes none may die")]
    [InlineData("torture --nodes 3 --faults sing", "not 'sing'")]
    [InlineData("torture --faults sing", "--faults is for a cluster: give --nodes, too")]
    [InlineData("torture --rounds 1 --data /proc/new", "the folder /proc/new cannot be made: the system makes none there")]
    [InlineData("up --nodes 3 --data /proc/new", "the folder /proc/new cannot be made: the system makes none there")]
    [InlineData("server --data /proc/new --resp 127.0.0.1:0", "mkdir of /proc/new failed: the system makes no folder there")]
    [InlineData("up --resp-port 99999", "99999")]
    [InlineData("verify /no/such/folder", "/no/such/folder")]
    [InlineData("inspect /proc/version", "no file that Kvasir knows")]
    [InlineData("inspect /proc", "is a folder")]
    [InlineData("checkpoint /proc /tmp/x", "no data folder")]
    public async Task WhatIsWrongIsSaidInOneLine(string commandLine, string says) =>
        Assert.Contains(says, (await KvasirProcess.Run(commandLine.Split(' '))).AssertUsageError(), StringComparison.Ordinal);

    [Fact]
    public async Task AServerThatIsTiedToItsParentEndsCleanlyWithIt()
    {
        using Process server = Start("--stop-at-stdin-end");
        string port = await PortOf(server);
        (await KvasirProcess.Run("shell", "-p", port, "SET", "a", "b")).AssertSuccess();
        Outcome outcome = (await KvasirProcess.Finish(server)).AssertSuccess();
        Assert.Equal("", outcome.Error);
        Assert.False(File.Exists(Path.Combine(Data, "kvasir.pid")));
    }

    [Fact]
    public async Task UpSaysThreeThingsToTry()
    {
        int[] ports = FreePorts.Take(2);
        using Process process = KvasirProcess.Start("up", "--data", Data, "--resp-port", ports[0].ToString(), "--http-port", ports[1].ToString());
        var lines = new List<string>();
        while (await process.StandardOutput.ReadLineAsync() is { } line && !line.StartsWith("Ctrl-C", StringComparison.Ordinal))
            lines.Add(line);
        string all = string.Join('\n', lines);
        Assert.Contains("redis-cli -p", all, StringComparison.Ordinal);
        Assert.Contains("./kvasir shell -p", all, StringComparison.Ordinal);
        Assert.Contains("curl http://127.0.0.1:", all, StringComparison.Ordinal);
        Assert.DoesNotContain('\e', all);
        await Terminate(process);
    }

    [Fact]
    public async Task MetricsReachACollector()
    {
        using var collector = new HttpListener();
        string port = FreePorts.Take(1)[0].ToString();
        collector.Prefixes.Add($"http://127.0.0.1:{port}/");
        collector.Start();
        Task<string> received = Receive(collector);
        using Process server = Start("--otlp-endpoint", $"http://127.0.0.1:{port}", "--otlp-protocol", "http");
        (await KvasirProcess.Run("shell", "-p", await PortOf(server), "SET", "a", "b")).AssertSuccess();

        // What was counted since the last export is sent when the server stops.
        await Terminate(server);
        string request = await received.WaitAsync(Tools.Patience);
        Assert.StartsWith("POST /v1/metrics application/x-protobuf", request, StringComparison.Ordinal);
        Assert.Contains("kvasir.commands", request, StringComparison.Ordinal);
        Assert.Contains("kvasir.journal.durable.position", request, StringComparison.Ordinal);
    }

    [Fact]
    public async Task FlagsWinOverEnvironmentOverFile()
    {
        string file = Path.Combine(_folder, "kvasir.conf");
        await File.WriteAllLinesAsync(file, ["# remarks are skipped", "maxclients 11", "databases = 3", "requirepass \"from file\""]);
        using Process server = KvasirProcess.Start(
            new Dictionary<string, string> { ["KVASIR_MAXCLIENTS"] = "12", ["KVASIR_DATABASES"] = "4", ["KVASIR_BOGUS"] = "1" },
            "server", "--data", Data, "--resp", "127.0.0.1:0", "--json", "--log-level", "warning", "--config", file, "--databases", "5");
        string port = await PortOf(server);
        Outcome outcome = await KvasirProcess.RunWithInput(
            "AUTH \"from file\"\nCONFIG GET maxclients\nCONFIG GET databases\n", "shell", "-p", port);
        Assert.Matches(@"maxclients\D+12\b", outcome.AssertSuccess().Output);
        Assert.Matches(@"databases\D+5\b", outcome.Output);
        Outcome ended = await Terminate(server);
        Assert.Contains("KVASIR_BOGUS is not an option", ended.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("KVASIR_HISTORY", ended.Error, StringComparison.Ordinal);
        await File.WriteAllLinesAsync(file, ["resp 127.0.0.1:0", "resp 127.0.0.1:1"]);
        Assert.Contains("kvasir.conf:2: resp stands there twice", (await KvasirProcess.Run("server", "--config", file)).AssertUsageError(), StringComparison.Ordinal);
        await File.WriteAllLinesAsync(file, ["", "maxclient 11"]);
        Outcome unknown = await KvasirProcess.Run("server", "--config", file);
        Assert.Contains("kvasir.conf:2: unknown key maxclient", unknown.AssertUsageError(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task OptionsOfTheShellThatRunsTheTestsReachNoServer()
    {
        Environment.SetEnvironmentVariable("KVASIR_STRAY", "1");
        Environment.SetEnvironmentVariable("KVASIR_DATABASES", "3");
        try
        {
            using Process server = Start();
            string port = await PortOf(server);
            Assert.Matches(@"databases\D+16\b", (await KvasirProcess.RunWithInput("CONFIG GET databases\n", "shell", "-p", port)).AssertSuccess().Output);
            Assert.DoesNotContain("STRAY", (await Terminate(server)).Error, StringComparison.Ordinal);
        }
        finally
        {
            Environment.SetEnvironmentVariable("KVASIR_STRAY", null);
            Environment.SetEnvironmentVariable("KVASIR_DATABASES", null);
        }
    }

    private static async Task<string> Receive(HttpListener collector)
    {
        HttpListenerContext context = await collector.GetContextAsync();
        using var reader = new StreamReader(context.Request.InputStream, System.Text.Encoding.Latin1);
        string body = await reader.ReadToEndAsync();
        context.Response.Close();
        return $"{context.Request.HttpMethod} {context.Request.Url!.AbsolutePath} {context.Request.ContentType} {body}";
    }

    private Process Start(params string[] flags) =>
        KvasirProcess.Start(["server", .. flags.Contains("--data") ? [] : new[] { "--data", Data }, "--resp", "127.0.0.1:0", "--json", "--log-level", "warning", .. flags]);

    private static async Task<string> PortOf(Process server)
    {
        string? line = await server.StandardOutput.ReadLineAsync();
        if (line is null)
            Assert.Fail("the server did not start: " + await server.StandardError.ReadToEndAsync());
        string address = JsonDocument.Parse(line).RootElement.GetProperty("resp")[0].GetString()!;
        return address[(address.LastIndexOf(':') + 1)..];
    }

    private static async Task<Outcome> Terminate(Process process)
    {
        using (Process kill = Process.Start("kill", ["-TERM", process.Id.ToString()]))
            await kill.WaitForExitAsync();
        return (await KvasirProcess.Finish(process)).AssertSuccess();
    }
}
