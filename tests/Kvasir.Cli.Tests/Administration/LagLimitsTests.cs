using Kvasir.Cli.Administration;

namespace Kvasir.Cli.Tests.Administration;

/// <summary>Which copies are warned of.</summary>
public sealed class LagLimitsTests
{
    [Theory]
    [InlineData(0L, 0L, 0L, false)]
    [InlineData(1L, 100L, 3L, false)] // There are writes.
    [InlineData(50_000L, 6_000_000L, 40L, false)] // There are very many.
    [InlineData(50_000L, 60_000_000L, 2_000L, false)]
    [InlineData(1_001L, 100_000L, 2_001L, true)]
    [InlineData(1_000L, 100_000L, 2_001L, false)] // It has them in a moment.
    [InlineData(3L, 9L << 20, 2_001L, true)] // Few, and large.
    [InlineData(3L, 300L, 10_000L, false)]
    [InlineData(3L, 300L, 10_001L, true)] // It gets nothing.
    [InlineData(0L, 0L, 60_000L, false)] // Its leader has no lease, and it has all there is.
    public void ACopyIsTooFarBehindByBothMeasures(long entries, long bytes, long milliseconds, bool isTooFar) =>
        Assert.Equal(isTooFar, LagLimits.Usual.Exceeds(new CopyLag(entries, bytes, milliseconds)));

    [Theory]
    [InlineData(0L, false)]
    [InlineData(1_000L, false)]
    [InlineData(1_001L, true)]
    public void OneThatDoesNotKnowHowOldItIsIsJudgedByWhatItLacks(long entries, bool isTooFar) =>
        Assert.Equal(isTooFar, LagLimits.Usual.Exceeds(new CopyLag(entries, 0, null) { IsAgeUnknown = true }));

    [Theory]
    [InlineData(40L, false, false)]
    [InlineData(2_001L, false, true)]
    [InlineData(null, true, true)]
    public void OneThatItsLeaderHasNotHeardOfIsJudgedByItsAge(long? milliseconds, bool isAgeUnknown, bool isTooFar) =>
        Assert.Equal(isTooFar, LagLimits.Usual.Exceeds(new CopyLag(0, 0, milliseconds) { IsUnseen = true, IsAgeUnknown = isAgeUnknown }));

    [Fact]
    public void LimitsAreThoseThatWereGiven()
    {
        var limits = new LagLimits(Entries: 10, Bytes: 100, Milliseconds: 50);
        Assert.True(limits.Exceeds(new CopyLag(11, 0, 51)));
        Assert.True(limits.Exceeds(new CopyLag(1, 101, 51)));
        Assert.False(limits.Exceeds(new CopyLag(10, 100, 250)));
        Assert.True(limits.Exceeds(new CopyLag(1, 1, 251)));
    }
}
