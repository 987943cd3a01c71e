using System.Diagnostics;
using System.Globalization;
using Kvasir.Cli.Tests.Processes;

namespace Kvasir.Cli.Tests;

/// <summary>A load run that cannot go on, or not as it was asked to.</summary>
public sealed class BenchEndingTests
{
    [Fact]
    public async Task ARunWhoseServerNeverAnswersEndsWhenItIsTold()
    {
        using var server = new SmallServer { WithholdUntil = long.MaxValue };
        using Process bench = KvasirProcess.Start("bench", "server", "--port", PortOf(server), "--workload", "set", "--requests", "10", "--clients", "2");
        Tools.Until(() => !server.Received.IsEmpty, "the run asks");
        Tools.Run("kill", "-TERM", bench.Id.ToString(CultureInfo.InvariantCulture));
        (await KvasirProcess.Finish(bench)).AssertInterrupted(143);
    }

    [Fact]
    public async Task MoreClientsThanThereAreFilesForAreRefused()
    {
        using var server = new SmallServer();
        using Process bench = KvasirProcess.StartUnder(
            ["sh", "-c", "ulimit -n 400; exec \"$0\" \"$@\""], new Dictionary<string, string>(StringComparer.Ordinal),
            "bench", "server", "--port", PortOf(server), "--requests", "10", "--clients", "1000");
        Assert.Contains("ulimit -n", (await KvasirProcess.Finish(bench)).AssertUsageError(), StringComparison.Ordinal);
        Assert.Empty(server.Received);
    }

    private static string PortOf(SmallServer server) => server.Port.ToString(CultureInfo.InvariantCulture);
}
