using System.Globalization;
using System.Net.Sockets;
using Kvasir.Cli.Shell;
using Kvasir.Primitives;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>A disk that is full, fails, goes away or may not be written, under a server in a process of its own.</summary>
public sealed class BadDiskTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-disk-").FullName;

    private string Data => Path.Combine(_folder, "data");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [NeedsSmallDiskFact]
    public async Task AFullDiskRefusesWritesServesReadsAndGoesOnWhenThereIsRoom()
    {
        using SmallDisk disk = new(mebibytes: 40);
        string ballast = disk.Outside + "/ballast";
        string lastBallast = disk.Outside + "/last";
        await File.WriteAllBytesAsync(ballast, new byte[14 << 20]);
        await File.WriteAllBytesAsync(lastBallast, new byte[4 << 20]);
        string value = new('v', 100_000);
        int written = 0;
        using (RunningServer server = await RunningServer.StartUnder(disk.Under, "/mnt/data", "--memory-mib", "32"))
        {
            using RespConnection client = server.Connect();

            // The journal may be the first to meet the end of the disk, or a flush.
            Assert.Matches("^-MISCONF (disk full|keyspace db0 cannot write its files)", FillUp(client, value, ref written));
            Assert.True(written > 20, $"only {written} values found room");
            AssertAllThere(client, written, value);

            File.Delete(ballast);
            Tools.Until(() => client.Ask("SET", "again", "1") == "OK", "writes go on once there is room");
            for (int i = 0; i < 20; i++)
            {
                // A flush that met the end of the disk before may say so only now.
                Tools.Until(() => client.Ask("SET", Key(written), value) == "OK", "writes go on");
                written++;
            }

            AssertAllThere(client, written, value);

            // Full once more, and then the end comes without notice.
            Assert.StartsWith("-MISCONF", FillUp(client, value, ref written), StringComparison.Ordinal);
            server.Kill();
        }

        // The disk is as full as before: it starts, reads, and waits for room.
        using RunningServer restarted = await RunningServer.StartUnder(disk.Under, "/mnt/data", "--memory-mib", "32");
        using RespConnection reader = restarted.Connect();
        AssertAllThere(reader, written, value);
        Assert.Equal("1", reader.Ask("GET", "again"));
        File.Delete(lastBallast);
        Tools.Until(() => reader.Ask("SET", "again", "2") == "OK", "writes go on once there is room");
        Assert.Equal(0, await restarted.Terminate());
    }

    [NeedsSmallDiskTheory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task OnAFullDiskDeletionsAreTaken(bool all)
    {
        using SmallDisk disk = new(mebibytes: 48);
        string ballast = disk.Outside + "/ballast";
        await File.WriteAllBytesAsync(ballast, new byte[16 << 20]);
        using RunningServer server = await RunningServer.StartUnder(disk.Under, "/mnt/data", "--memory-mib", "32");
        using RespConnection client = server.Connect();
        byte[] bytes = new byte[75_000];
        new SeededRandom(1).NextBytes(bytes);

        // Not to be compressed: what is deleted is what fills the disk.
        string value = Convert.ToBase64String(bytes);
        int written = 0;
        Assert.StartsWith("-MISCONF", FillUp(client, value, ref written), StringComparison.Ordinal);
        if (all)
        {
            Assert.Equal("OK", client.Ask("FLUSHALL"));
        }
        else
        {
            for (int i = 0; i < written; i++)
                Assert.Equal("1", client.Ask(i % 2 == 0 ? "DEL" : "UNLINK", Key(i)));
        }

        Assert.Equal("0", client.Ask("DBSIZE"));
        server.Kill();

        // What they give back needs flushes and compactions, for which the room that is kept may not be enough.
        File.Delete(ballast);
        using RunningServer restarted = await RunningServer.StartUnder(disk.Under, "/mnt/data", "--memory-mib", "32");
        using RespConnection reader = restarted.Connect();
        Assert.Equal("0", reader.Ask("DBSIZE"));
        Tools.Until(() => reader.Ask("SET", "again", value) == "OK", "writes go on");
        Assert.Equal(0, await restarted.Terminate());
    }

    [NeedsStraceFact]
    public async Task AFailedSyncStopsWritesUntilARestartAndLosesNothingAnswered()
    {
        // The first segment is the only one; everything else syncs as it should.
        string segment = Data + "/journal/00000000000000000001.segment";
        string[] under = ["strace", "-f", "-qq", "-o", _folder + "/trace", "-P", segment, "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=6+"];
        int written = 0;
        string refused;
        using (RunningServer server = await RunningServer.StartUnder(under, Data, "--log-level", "info"))
        {
            using RespConnection client = server.Connect();
            refused = FillUp(client, "v", ref written);
            Assert.StartsWith("-IOERR the disk failed: the write's outcome is unknown until the server restarts", refused, StringComparison.Ordinal);
            Assert.True(written > 0);
            for (int i = 0; i < 3; i++)
                Assert.StartsWith("-IOERR", client.Ask("SET", "later", "v"), StringComparison.Ordinal);
            Assert.StartsWith("-IOERR", client.Ask("DEL", Key(0)), StringComparison.Ordinal);
            AssertAllThere(client, written, "v");

            // In doubt: it may come back with a restart, so it is not served now.
            Assert.Equal("nil", client.Ask("GET", Key(written)));
            Assert.Equal("PONG", client.Ask("PING"));
            server.Signal("TERM");
            await server.End();
            Assert.DoesNotContain("everything is on disk", server.Errors, StringComparison.Ordinal);
            Assert.Contains("stopped; the disk had failed", server.Errors, StringComparison.Ordinal);
            Assert.Contains($" of {segment} failed: ", server.Errors, StringComparison.Ordinal);
        }

        Assert.Equal(1, File.ReadLines(_folder + "/trace").Count(l => l.Contains("INJECTED", StringComparison.Ordinal)));
        using RunningServer restarted = await RunningServer.Start(Data);
        using RespConnection reader = restarted.Connect();
        AssertAllThere(reader, written, "v");
        Assert.Contains(reader.Ask("GET", Key(written)), new[] { "v", "nil" });
        Assert.Equal("nil", reader.Ask("GET", "later"));
        Assert.Equal("OK", reader.Ask("SET", "later", "v"));
    }

    [NeedsStraceFact]
    public async Task ASegmentThatIsThereAndFindsNoRoomAllTheSameIsAFullDisk()
    {
        // As where files are not overwritten in place. The journal goes on in another segment.
        string segment = Data + "/journal/00000000000000000001.segment";
        string[] under = ["strace", "-f", "-qq", "-o", _folder + "/trace", "-P", segment, "-e", "trace=pwrite64", "-e", "inject=pwrite64:error=ENOSPC:when=8+"];
        int written = 0;
        using (RunningServer server = await RunningServer.StartUnder(under, Data))
        {
            using RespConnection client = server.Connect();
            Assert.StartsWith("-MISCONF disk full", FillUp(client, "v", ref written), StringComparison.Ordinal);
            Assert.True(written > 0);
            Tools.Until(() => client.Ask("SET", "later", "v") == "OK", "writes go on");
            AssertAllThere(client, written, "v");
            Assert.Equal("nil", client.Ask("GET", Key(written)));
            server.Kill();
        }

        Assert.Contains(File.ReadLines(_folder + "/trace"), l => l.Contains("INJECTED", StringComparison.Ordinal));
        using RunningServer restarted = await RunningServer.Start(Data);
        using RespConnection reader = restarted.Connect();
        AssertAllThere(reader, written, "v");
        Assert.Equal(("nil", "v"), (reader.Ask("GET", Key(written)), reader.Ask("GET", "later")));
        Assert.Equal(0, await restarted.Terminate());
    }

    [Fact]
    public async Task ADataFolderThatGoesAwayStopsWrites()
    {
        using RunningServer server = await RunningServer.Start(Data);
        using RespConnection client = server.Connect();
        Assert.Equal("OK", client.Ask("SET", "a", "1"));
        Directory.Move(Data, Data + "-elsewhere");
        Tools.Until(() => client.Ask("SET", "b", "1").StartsWith("-IOERR the data folder", StringComparison.Ordinal), "writes are refused");
        Assert.Equal("1", client.Ask("GET", "a"));

        // Another server stands there now: it is left alone.
        using RunningServer other = await RunningServer.Start(Data);
        using RespConnection theirs = other.Connect();
        Assert.Equal("OK", theirs.Ask("SET", "c", "1"));
        Assert.StartsWith("-IOERR the checkpoint failed: the data folder", client.Ask("SAVE"), StringComparison.Ordinal);
        Assert.False(Directory.Exists(Path.Combine(Data, "checkpoints")));
        Assert.Equal(1, await server.Terminate());
        Assert.Contains("stopped, but the data folder", server.Errors, StringComparison.Ordinal);
        Assert.Equal($"{other.ProcessId}\n", await File.ReadAllTextAsync(Path.Combine(Data, "kvasir.pid")));
        Assert.Equal(0, await other.Terminate());
        Assert.False(File.Exists(Path.Combine(Data, "kvasir.pid")));
        using RunningServer restarted = await RunningServer.Start(Data);
        using RespConnection reader = restarted.Connect();
        Assert.Equal(("1", "nil"), (reader.Ask("GET", "c"), reader.Ask("GET", "a")));
        Assert.Equal(0, await restarted.Terminate());
        using RunningServer found = await RunningServer.Start(Data + "-elsewhere");
        using RespConnection finder = found.Connect();
        Assert.Equal("1", finder.Ask("GET", "a"));
    }

    [NeedsSmallDiskFact]
    public async Task AFolderThatMayNotBeWrittenIsRefusedInOneLine()
    {
        using (RunningServer first = await RunningServer.Start(Data))
            Assert.Equal(0, await first.Terminate());
        using SmallDisk disk = new(0, bindReadOnly: _folder);
        foreach (string folder in new[] { "/mnt/data", "/mnt/new" })
        {
            using RunningServer refused = RunningServer.Begin(disk.Under, folder);
            Assert.Equal(2, await refused.End());
            Assert.Contains("Read-only file system", refused.Errors, StringComparison.Ordinal);
            Assert.Single(refused.Errors.Trim().Split('\n'));
        }
    }

    [Theory]
    [InlineData("journal/*.segment", 60)]
    [InlineData("keyspaces/db0/MANIFEST*", 40)]
    [InlineData("keyspaces/db0/CURRENT", 3)]
    [InlineData("keyspaces/system/CURRENT", 3)]
    public async Task ADamagedFileStopsTheStartWithItsNameAndPlace(string pattern, int offset)
    {
        using (RunningServer server = await RunningServer.Start(Data))
        {
            using RespConnection client = server.Connect();
            for (int i = 0; i < 100; i++)
                Assert.Equal("OK", client.Ask("SET", Key(i), "value"));
            Assert.Equal("OK", client.Ask("DEBUG", "RELOAD"));
            Assert.Equal(0, await server.Terminate());
        }

        string path = Directory.GetFiles(Path.Combine(Data, Path.GetDirectoryName(pattern)!), Path.GetFileName(pattern)).Order(StringComparer.Ordinal).First();
        byte[] bytes = await File.ReadAllBytesAsync(path);
        bytes[offset] ^= 0x10;
        await File.WriteAllBytesAsync(path, bytes);
        using RunningServer damaged = RunningServer.Begin([], Data);
        Assert.Equal(2, await damaged.End());
        Assert.Contains(path, damaged.Errors, StringComparison.Ordinal);
        Assert.Single(damaged.Errors.Trim().Split('\n'));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task AKeyspacesFolderInThePlaceOfAnotherStopsTheStart(bool ofAnotherServer)
    {
        string other = Path.Combine(_folder, "other");
        foreach (string data in new[] { Data, other })
        {
            using RunningServer server = await RunningServer.Start(data, "--databases", "2");
            using RespConnection client = server.Connect();
            Assert.Equal("OK", client.Ask("SET", "key", data));
            server.Kill();
        }

        // Killed, so that nothing but the folders themselves tells them apart.
        string first = Path.Combine(Data, "keyspaces", "db0"), second = Path.Combine(ofAnotherServer ? other : Data, "keyspaces", ofAnotherServer ? "db0" : "db1");
        string aside = Path.Combine(_folder, "aside");
        Directory.Move(first, aside);
        Directory.Move(second, first);
        Directory.Move(aside, second);
        Outcome verified = await KvasirProcess.Run("verify", Data);
        Assert.Equal(1, verified.ExitCode);
        Assert.Contains("stands in the place of", verified.Output, StringComparison.Ordinal);
        using RunningServer refused = RunningServer.Begin([], Data, "--databases", "2");
        Assert.Equal(2, await refused.End());
        Assert.Contains("keyspaces/db0", refused.Errors, StringComparison.Ordinal);
        Assert.Single(refused.Errors.Trim().Split('\n'));
    }

    [Fact]
    public async Task AReloadThatCannotOpenTheDataEndsTheProcessAndSaysWhy()
    {
        using RunningServer server = await RunningServer.Start(Data);
        using RespConnection client = server.Connect();
        using RespConnection other = server.Connect();
        Assert.Equal("OK", client.Ask("SET", "a", "1"));
        Assert.Equal("OK", client.Ask("DEBUG", "RELOAD"));
        Assert.Equal("1", client.Ask("GET", "a"));
        File.Delete(Path.Combine(Data, "keyspaces/db0/CURRENT"));
        client.Send("DEBUG", "RELOAD");

        // Until that is heard the key is there. Whoever is served afterwards would be told that there are no keys.
        string served = "1";
        Exception? ended = Record.Exception(() =>
        {
            while (served == "1")
                served = other.Ask("GET", "a");
        });
        Assert.Equal("1", served);
        Assert.True(ended is IOException or SocketException, ended?.ToString());
        Assert.Equal(2, await server.End());
        Assert.Contains("kvasir: the data could not be opened again: ", server.Errors, StringComparison.Ordinal);
        Assert.Contains("CURRENT", server.Errors, StringComparison.Ordinal);
        Assert.Single(server.Errors.Trim().Split('\n'));
    }

    /// <summary>Writes until something else than OK comes back, and returns that.</summary>
    private static string FillUp(RespConnection client, string value, ref int written)
    {
        while (true)
        {
            string reply = client.Ask("SET", Key(written), value);
            if (reply != "OK")
                return reply;
            written++;
        }
    }

    private static void AssertAllThere(RespConnection client, int count, string value)
    {
        for (int i = 0; i < count; i++)
            Assert.True(client.Ask("GET", Key(i)) == value, $"key {i} of {count} is not what it should be");
    }

    private static string Key(int number) => "key" + number.ToString(CultureInfo.InvariantCulture);
}
