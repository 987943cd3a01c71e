namespace Kvasir.Cli.Tests;

public sealed class UsageErrorTests
{
    [Theory]
    [InlineData("", "a command is missing")]
    [InlineData("bench", "kvasir bench --help")]
    [InlineData("sing", "'sing'")]
    [InlineData("--sing", "'--sing'")]
    [InlineData("shell --port", "--port")]
    [InlineData("shell --port x PING", "--port wants a whole number from 1 to 65535, not 'x'")]
    [InlineData("shell --port 0 PING", "not '0'")]
    [InlineData("shell --port 70000 PING", "not '70000'")]
    [InlineData("shell --port 1 PING", "no server answers at 127.0.0.1:1")]
    [InlineData("shell --host no.such.host.invalid PING", "no.such.host.invalid")]
    [InlineData("bench server --workload dance", "'dance'")]
    [InlineData("bench server --keys -5", "--keys wants a number")]
    [InlineData("bench server --keys 99999999999999999G", "--keys wants a number")]
    [InlineData("bench server --port 1 --duration 1", "no server answers")]
    [InlineData("bench server --workload set extra", "'extra'")]
    [InlineData("bench server --load --no-load", "--load and --no-load")]
    [InlineData("bench engine", "--workload")]
    [InlineData("bench engine --workload fillseq,dance", "'dance'")]
    [InlineData("bench engine --workload readrandom", "readrandom needs data")]
    [InlineData("bench engine --workload fillseq --use-existing", "--use-existing needs --dir")]
    [InlineData("bench engine --workload readrandom --use-existing --dir /no/such/folder", "/no/such/folder")]
    [InlineData("bench engine --workload fillseq --dir /proc", "/proc is not empty")]
    [InlineData("bench engine --workload fillseq --engine cotree", "'cotree'")]
    [InlineData("server --resp 127.0.0.1:0 --http ,", "http is one HOST:PORT, not ','")]
    [InlineData("server --data NEW --resp 127.0.0.1:0 --unixsocket /no/such/folder/socket", "cannot listen on /no/such/folder/socket")]
    [InlineData("server --data NEW --unixsocketperm 999", "unixsocketperm is an octal number like 700, not 999")]
    [InlineData("server --data NEW --unixsocketperm 7777", "unixsocketperm is an octal number like 700, not 7777")]
    [InlineData("bench server @/etc/passwd", "'@/etc/passwd'")]
    public async Task WhatIsWrongIsSaidInOneLine(string commandLine, string says)
    {
        Outcome outcome = await KvasirProcess.Run(commandLine.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Contains(says, outcome.AssertUsageError(), StringComparison.Ordinal);
    }

    /// <summary>A script's variable that was not set.</summary>
    [Theory]
    [InlineData("verify|")]
    [InlineData("inspect|")]
    [InlineData("recover|")]
    [InlineData("check|")]
    [InlineData("checkpoint||TO")]
    [InlineData("checkpoint|DIR|")]
    [InlineData("simulate|damage|")]
    public async Task AnEmptyPathIsSaidInOneLine(string commandLine)
    {
        Outcome outcome = await KvasirProcess.Run(commandLine.Split('|'));
        Assert.Contains("wants a path, not ''", outcome.AssertUsageError(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task AHostNameThatIsTooLongIsNoDefect()
    {
        Outcome outcome = await KvasirProcess.Run("shell", "--host", new string('a', 300), "PING");
        Assert.Contains("cannot be resolved", outcome.AssertUsageError(), StringComparison.Ordinal);
    }

    /// <summary>As of /etc/shadow: a service's log is read by more people than that file.</summary>
    [Theory]
    [InlineData("root:$6$SECRET:1:0:::::")]
    [InlineData("-----BEGIN-SECRET-KEY-----AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    public async Task AFileThatIsNoConfigurationIsNotShown(string line)
    {
        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, line + "\n");
            string says = (await KvasirProcess.Run("server", "--config", file)).AssertUsageError();
            Assert.Contains(file + ":1: the line does not begin with a key", says, StringComparison.Ordinal);
            Assert.DoesNotContain("SECRET", says, StringComparison.OrdinalIgnoreCase);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public async Task AFileIsNotTakenForASocketThatWasLeft()
    {
        string folder = Directory.CreateTempSubdirectory("kvasir-test-").FullName;
        try
        {
            string file = folder + "/notes";
            await File.WriteAllTextAsync(file, "mine");
            Outcome outcome = await KvasirProcess.Run("server", "--data", folder + "/data", "--resp", "127.0.0.1:0", "--unixsocket", file);
            Assert.Contains("is a file and no socket", outcome.AssertUsageError(), StringComparison.Ordinal);
            Assert.Equal("mine", await File.ReadAllTextAsync(file));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
