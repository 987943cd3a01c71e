using System.Text;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Tests.Sessions;

public sealed class LogFailuresTests
{
    private const int MoreThanAreKept = 5000;

    [Fact]
    public void WhoMissedALossHearsNothingDefiniteOfALaterOne()
    {
        LogFailures failures = new();
        HandLog log = new();
        long seen = failures.Count;
        SessionOutput output = Waiting(log);
        failures.Add(log, LogPosition.Zero, LogLoss.LeadershipLost, "");
        for (int i = 0; i < MoreThanAreKept; i++)
            failures.Add(log, new LogPosition(20), LogLoss.Overruled, "");
        failures.Meet(output, asksNext: false, ref seen);
        Assert.StartsWith("-TIMEOUT outcome unknown", Sendable(output), StringComparison.Ordinal);
        Assert.Equal(failures.Count, seen);
    }

    [Fact]
    public void WhoMissedTheLossOfOneLogIsToldEvenIfOnlyOthersAreRemembered()
    {
        LogFailures failures = new();
        HandLog log = new();
        HandLog other = new();
        long seen = failures.Count;
        SessionOutput output = Waiting(log);
        failures.Add(log, LogPosition.Zero, LogLoss.Overruled, "");
        for (int i = 0; i < MoreThanAreKept; i++)
            failures.Add(other, LogPosition.Zero, LogLoss.Overruled, "");
        failures.Meet(output, asksNext: false, ref seen);
        log.DurablePosition = new LogPosition(10);
        output.LookAtLogs();
        Assert.StartsWith("-TIMEOUT outcome unknown", Sendable(output), StringComparison.Ordinal);
    }

    private static SessionOutput Waiting(HandLog log)
    {
        SessionOutput output = new();
        output.Buffer.Append("+OK\r\n"u8);
        output.AddGate(log, new LogPosition(10), 0, 1);
        return output;
    }

    private static string Sendable(SessionOutput output) => Encoding.UTF8.GetString(output.Sendable().Span);
}
