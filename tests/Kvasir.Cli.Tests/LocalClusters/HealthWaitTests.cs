using Kvasir.Cli.LocalClusters;

namespace Kvasir.Cli.Tests.LocalClusters;

public sealed class HealthWaitTests
{
    [Fact]
    public async Task ItWaitsUntilNothingIsWrongAndSaysWhatIs()
    {
        Queue<string?> states = new(["two copies are missing", "one copy is missing", null]);
        List<string> said = [];
        HealthWait wait = new(states.Dequeue, said.Add) { Patience = TimeSpan.MaxValue, LookAgain = TimeSpan.Zero, SayAgain = TimeSpan.Zero };
        Assert.Null(await wait.Run(CancellationToken.None));
        Assert.Equal(["two copies are missing", "one copy is missing"], said);
    }

    [Fact]
    public async Task WhatStaysWrongIsNotWaitedForForEver()
    {
        HealthWait wait = new(static () => "a disk is full", static _ => { }) { Patience = TimeSpan.Zero };
        Assert.Equal("a disk is full", await wait.Run(CancellationToken.None));
    }

    [Fact]
    public async Task WhoeverIsToldToStopDoesNotWait()
    {
        HealthWait wait = new(static () => "a disk is full", static _ => { }) { Patience = TimeSpan.MaxValue };
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => wait.Run(new CancellationToken(canceled: true)));
    }
}
