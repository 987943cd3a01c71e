using Kvasir.Raft.Tests.Worlds;

namespace Kvasir.Raft.Tests;

public sealed class ChaosTests
{
    private const int Seeds = 400;

    [Fact]
    public void NoSeedBreaksAPromise()
    {
        (ulong first, int count) = Environment.GetEnvironmentVariable("KVASIR_RAFT_SEED") is { } seed
            ? (ulong.Parse(seed), int.Parse(Environment.GetEnvironmentVariable("KVASIR_RAFT_SEEDS") ?? "1"))
            : (1, Seeds);
        int leaders = 0, leases = 0, rounds = 0, aged = 0, restarts = 0, snapshots = 0, quiet = 0, configurations = 0;
        ulong committed = 0;
        for (ulong s = first; s < first + (ulong)count; s++)
        {
            var chaos = new Chaos(s);
            try
            {
                chaos.Run(2000);
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"seed {s}; replay with KVASIR_RAFT_SEED={s} ./test tests/Kvasir.Raft.Tests: {e.Message}", e);
            }

            leaders += chaos.Checker.Leaders;
            leases += chaos.Checker.LeaseReads;
            rounds += chaos.Checker.RoundReads;
            aged += chaos.Checker.AgedReads;
            configurations += chaos.Checker.Configurations;
            committed += chaos.Checker.Committed.Value;
            restarts += chaos.Restarts;
            snapshots += chaos.Snapshots;
            quiet += chaos.Quiet;
        }

        Console.WriteLine($"{leaders} terms, {committed} entries, {configurations} configurations, {leases} lease reads, "
            + $"{rounds} round reads, {aged} aged reads, {restarts} restarts, {snapshots} snapshots, {quiet} quiet events");
        if (count < Seeds)
            return;
        // A run in which these never happen tests nothing.
        Assert.All([leaders, (int)committed, configurations, leases, rounds, aged, restarts, snapshots, quiet], n => Assert.True(n > 100));
    }
}
