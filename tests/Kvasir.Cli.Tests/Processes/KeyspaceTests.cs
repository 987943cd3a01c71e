using Kvasir.Cli.Shell;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>Keyspaces of a server that is alone, over a socket, through kills, and by the program's own commands.</summary>
public sealed class KeyspaceTests : IDisposable
{
    private static readonly string[] s_engines = ["lsm", "log", "btree"];
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-keyspaces-").FullName;

    private string Data => Path.Combine(_folder, "data");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task KeyspacesOfAllEnginesOutliveAKillAndGoWithTheirFiles()
    {
        using (RunningServer server = await RunningServer.Start(Data))
        {
            foreach (string engine in s_engines)
            {
                Assert.Equal(0, Keyspace(server, "create", engine + "-keys", "--engine", engine));
                using RespConnection client = server.Connect();
                Assert.Equal("OK", client.Ask("SELECT", engine + "-keys"));
                for (int i = 0; i < 200; i++)
                    Assert.Equal("OK", client.Ask("SET", $"key{i}", engine));
            }

            server.Kill();
        }

        using (RunningServer server = await RunningServer.Start(Data))
        {
            using RespConnection client = server.Connect();
            foreach (string engine in s_engines)
            {
                Assert.Equal("OK", client.Ask("SELECT", engine + "-keys"));
                Assert.Equal("200", client.Ask("DBSIZE"));
                Assert.Equal(engine, client.Ask("GET", "key199"));
            }

            Assert.Equal(0, Keyspace(server, "list"));
            Assert.Equal(0, Keyspace(server, "show", "log-keys", "--json"));
            Assert.NotEqual(0, Keyspace(server, "show", "none"));
            Assert.NotEqual(0, Keyspace(server, "create", "more", "--shards", "4"));
            Assert.Equal(0, Keyspace(server, "drop", "btree-keys", "--yes"));
            Tools.Until(() => !Directory.EnumerateDirectories(Path.Combine(Data, "keyspaces"), "btree-keys.*").Any(), "its files are gone");
            Assert.Equal("OK", client.Ask("SELECT", "lsm-keys"));
            Assert.Equal("lsm", client.Ask("GET", "key0"));
            server.Kill();
        }

        Assert.Equal(0, await CommandAsync("verify", Data));
        Assert.Equal(0, await CommandAsync("inspect", Path.Combine(Data, "KEYSPACES")));
        Assert.Equal(0, await CommandAsync("checkpoint", Data, Path.Combine(_folder, "copy")));
        using (RunningServer server = await RunningServer.Start(Path.Combine(_folder, "copy")))
        {
            using RespConnection client = server.Connect();
            Assert.Equal("OK", client.Ask("SELECT", "log-keys"));
            Assert.Equal("200", client.Ask("DBSIZE"));
            Assert.StartsWith("-", client.Ask("SELECT", "btree-keys"), StringComparison.Ordinal);
            Assert.Equal(0, await server.Terminate());
        }
    }

    [Fact]
    public async Task AFolderRemembersTheEngineOfItsDatabases()
    {
        using (RunningServer server = await RunningServer.Start(Data, "--engine", "log"))
        {
            using RespConnection client = server.Connect();
            Assert.Equal("OK", client.Ask("SET", "a", "1"));
            Assert.Equal(0, await server.Terminate());
        }

        Assert.True(File.Exists(Path.Combine(Data, "keyspaces", "db0", "HASHLOG")));
        using RunningServer again = await RunningServer.Start(Data);
        using RespConnection next = again.Connect();
        Assert.Equal("1", next.Ask("GET", "a"));
    }

    private static int Keyspace(RunningServer server, params string[] words) =>
        CommandAsync(["keyspace", .. words, "--port", server.Address.Port.ToString(System.Globalization.CultureInfo.InvariantCulture)]).GetAwaiter().GetResult();

    private static async Task<int> CommandAsync(params string[] words)
    {
        using System.Diagnostics.Process process = KvasirProcess.StartUnder([], new Dictionary<string, string>(StringComparer.Ordinal), words);
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        await output;
        await errors;
        return process.ExitCode;
    }
}
