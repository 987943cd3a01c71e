namespace Kvasir.Cli.Tests.Processes;

/// <summary>Signals to a server that has not begun to serve, or is already on its way out.</summary>
public sealed class EarlySignalTests : IDisposable
{
    // Whoever runs the tests in the background of a script ignores some, and so would the server.
    private static readonly string[] s_listening = ["env", "--default-signal=INT,TERM,HUP"];

    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-signals-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("TERM")]
    [InlineData("INT")]
    [InlineData("HUP")]
    [InlineData("INT", "INT")]
    [InlineData("TERM", "INT")]
    public async Task ASignalBeforeTheServerServesEndsItCleanly(params string[] signals)
    {
        // The start waits for its configuration: a pipe that somebody must write first.
        string config = Path.Combine(_folder, "config");
        Assert.Equal(0, Tools.Run("mkfifo", config));
        using RunningServer server = RunningServer.Begin(s_listening, Path.Combine(_folder, "data"), "--config", config);
        await using (FileStream writer = await Task.Run(() => new FileStream(config, FileMode.Open, FileAccess.Write)))
        {
            foreach (string signal in signals)
                server.Signal(signal);
            await writer.WriteAsync("databases 2\n"u8.ToArray());
        }

        Assert.Equal(0, await server.End());
        Assert.Equal("", server.Errors.Trim());
    }
}
