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
    [InlineData("bench server @/etc/passwd", "'@/etc/passwd'")]
    public async Task WhatIsWrongIsSaidInOneLine(string commandLine, string says)
    {
        Outcome outcome = await KvasirProcess.Run(commandLine.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Contains(says, outcome.AssertUsageError(), StringComparison.Ordinal);
    }
}
