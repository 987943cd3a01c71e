using System.Diagnostics;
using System.Text.Json;
using Kvasir.Cli.Shell;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>Checkpoints of a real server, and what the tools make of them.</summary>
public sealed class CheckpointTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-checkpoints-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Data => Path.Combine(_folder, "data");

    [Theory]
    [InlineData("NODE")]
    [InlineData("keyspaces/db0/CURRENT")]
    [InlineData("keyspaces/db0/MANIFEST-*")]
    public async Task VerifyNamesDamageInTheCheckpointThatAServerKeeps(string damaged)
    {
        string checkpoint = await ServeAndSave();
        JsonElement sound = JsonDocument.Parse((await KvasirProcess.Run("verify", "--json", Data)).AssertSuccess().Output).RootElement;

        string path = Directory.GetFiles(Path.GetDirectoryName(Path.Combine(checkpoint, damaged))!, Path.GetFileName(damaged)).Single();
        byte[] bytes = await File.ReadAllBytesAsync(path);
        bytes[bytes.Length / 2] ^= 4;
        await File.WriteAllBytesAsync(path, bytes);

        Outcome outcome = await KvasirProcess.Run("verify", Data);
        Assert.Equal(1, outcome.ExitCode);
        Assert.Contains(path, outcome.Output, StringComparison.Ordinal);
        Assert.True(sound.GetProperty("files").GetInt32() > 9, "the checkpoint's files count");
    }

    /// <summary>As a kill leaves it: the identity is written last.</summary>
    [Fact]
    public async Task ACheckpointThatWasNotCompletedIsNoDamage()
    {
        File.Delete(Path.Combine(await ServeAndSave(), "NODE"));
        (await KvasirProcess.Run("verify", Data)).AssertSuccess();
    }

    [NeedsSmallDiskFact]
    public async Task ACheckpointToAnotherFileSystemLeavesNothing()
    {
        await ServeAndSave();
        using var disk = new SmallDisk(8);
        using Process process = KvasirProcess.StartUnder(
            disk.Under, new Dictionary<string, string>(StringComparer.Ordinal), "checkpoint", Data, "/mnt/copy");
        Outcome outcome = await KvasirProcess.Finish(process);

        Assert.Contains("/mnt/copy lies on another file system than", outcome.AssertUsageError(), StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(disk.Outside));
    }

    /// <summary>The checkpoint of a server that has stopped.</summary>
    private async Task<string> ServeAndSave()
    {
        using RunningServer server = await RunningServer.Start(Data, "--databases", "2");
        using (RespConnection connection = server.Connect())
        {
            Assert.Equal("OK", connection.Ask("SET", "a", "b"));
            Assert.Equal("OK", connection.Ask("SAVE"));
        }

        Assert.Equal(0, await server.Terminate());
        return Directory.GetDirectories(Path.Combine(Data, "checkpoints")).Single();
    }
}
