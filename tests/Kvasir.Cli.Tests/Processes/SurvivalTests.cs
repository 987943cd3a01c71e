using System.Globalization;
using Kvasir.Cli.Shell;
using Kvasir.Cli.Torture;
using Kvasir.Primitives;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>Signals at bad moments, to a server in a process of its own.</summary>
public sealed class SurvivalTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-signals-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("sync")]
    [InlineData("interval")]
    [InlineData("none")]
    public async Task ATermSignalUnderLoadLosesNothingAnswered(string durability)
    {
        TortureClient[] clients = [.. Enumerable.Range(0, 6).Select(i => new TortureClient(i, new SeededRandom(100 + (ulong)i)))];
        for (int round = 0; round < 3; round++)
        {
            using RunningServer server = await RunningServer.Start(_folder, "--durability", durability);
            OnAll(clients, c => c.Verify(server.Address));
            int before = clients.Sum(c => c.Answered);
            Task load = Task.Run(() => OnAll(clients, c => c.WriteUntilKilled(server.Address)));
            Tools.Until(() => load.IsCompleted || clients.Sum(c => c.Answered) > before + 300, "clients write");
            Assert.Equal(0, await server.Terminate());
            await load;
            Assert.Equal("", server.Errors.Trim());
            Assert.False(File.Exists(Path.Combine(_folder, "kvasir.pid")));
        }

        using RunningServer last = await RunningServer.Start(_folder, "--durability", durability);
        OnAll(clients, c => c.Verify(last.Address));
    }

    [Fact]
    public async Task AStoppedServerGoesOnWhereItWas()
    {
        TortureClient[] clients = [.. Enumerable.Range(0, 4).Select(i => new TortureClient(i, new SeededRandom(200 + (ulong)i)))];
        using RunningServer server = await RunningServer.Start(_folder, "--durability", "interval", "--interval-ms", "5");
        Task load = Task.Run(() => OnAll(clients, c => c.WriteUntilKilled(server.Address)));
        for (int i = 1; i <= 5; i++)
        {
            int before = clients.Sum(c => c.Answered);
            Tools.Until(() => load.IsCompleted || clients.Sum(c => c.Answered) > before + 50, "clients write");
            server.Pause();
            server.Signal("CONT");
        }

        Assert.Equal(0, await server.Terminate());
        await load;
        using RunningServer again = await RunningServer.Start(_folder);
        OnAll(clients, c => c.Verify(again.Address));
    }

    [Fact]
    public async Task ATerminalThatClosesStopsItCleanly()
    {
        // Whatever started these tests may itself ignore the signal, and children inherit that.
        using RunningServer server = await RunningServer.StartUnder(["env", "--default-signal=HUP"], _folder);
        server.Signal("HUP");
        Assert.Equal(0, await server.End());
        Assert.Equal("", server.Errors.Trim());
        Assert.False(File.Exists(Path.Combine(_folder, "kvasir.pid")));
    }

    [Fact]
    public async Task UnderNohupItOutlivesTheTerminal()
    {
        using RunningServer server = await RunningServer.StartUnder(["env", "--ignore-signal=HUP"], _folder);
        server.Signal("HUP");
        using (RespConnection client = server.Connect())
        {
            client.Send("PING");
            Assert.Equal("PONG", client.Receive().Text);
        }

        Assert.Equal(0, await server.Terminate());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task KilledAgainAndAgainWhileItRecoversItLosesNothing(ulong seed)
    {
        SeededRandom random = new(seed);
        string value = new('v', 1000);
        int written = 0, readsOfStart;
        using (RunningServer server = await RunningServer.Start(_folder, "--memory-mib", "64"))
        {
            readsOfStart = server.CountReads();
            using RespConnection client = server.Connect();
            for (; written < 12_000; written += 100)
            {
                for (int i = 0; i < 100; i++)
                    client.Send("SET", Key(written + i), value);
                for (int i = 0; i < 100; i++)
                    Assert.Equal("OK", client.Receive().Text);
            }

            server.Kill();
        }

        // Somewhere in its start, which reads more than the first one, or behind it.
        for (int i = 0; i < 12; i++)
        {
            using RunningServer server = RunningServer.Begin([], _folder, "--memory-mib", "64");
            int reads = random.Next(readsOfStart * 3 / 2);
            Tools.Until(() => server.CountReads() >= reads || Serves(server), "it starts");
            server.Kill();
        }

        using RunningServer last = await RunningServer.Start(_folder, "--memory-mib", "64");
        using RespConnection reader = last.Connect();
        for (int i = 0; i < written; i += 100)
        {
            for (int j = 0; j < 100; j++)
                reader.Send("GET", Key(i + j));
            for (int j = 0; j < 100; j++)
                Assert.True(reader.Receive().Text == value, $"seed {seed}: key {i + j} is lost");
        }

        Assert.Equal(0, await last.Terminate());
        Assert.Contains("sound", (await KvasirProcess.Run("verify", _folder)).AssertSuccess().Output, StringComparison.Ordinal);
    }

    private bool Serves(RunningServer server)
    {
        string file = Path.Combine(_folder, "kvasir.pid");
        return File.Exists(file) && File.ReadAllText(file).Trim() == server.ProcessId.ToString(CultureInfo.InvariantCulture);
    }

    private static string Key(int number) => "key" + number.ToString(CultureInfo.InvariantCulture);

    private static void OnAll(TortureClient[] clients, Action<TortureClient> action)
    {
        Exception? failure = null;
        Thread[] threads = [.. clients.Select(c => new Thread(() =>
        {
            try
            {
                action(c);
            }
            catch (Exception e)
            {
                Interlocked.CompareExchange(ref failure, e, comparand: null);
            }
        }))];
        foreach (Thread thread in threads)
            thread.Start();
        foreach (Thread thread in threads)
            thread.Join();
        if (failure is not null)
            throw new InvalidOperationException(failure.Message, failure);
    }
}
