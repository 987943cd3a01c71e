namespace Kvasir.Primitives.Tests;

public sealed class LatencyHistogramTests
{
    [Fact]
    public void PercentilesStayWithinAThousandthOfTheSortedValues()
    {
        foreach (ulong seed in new ulong[] { 1, 2, 3, 4, 5 })
        {
            var random = new SeededRandom(seed);
            var histogram = new LatencyHistogram();
            var values = new List<long>();
            for (int i = 0; i < 20_000; i++)
            {
                long value = random.NextInt64(1L << random.Next(1, 37));
                values.Add(value);
                histogram.Record(value);
            }

            values.Sort();
            foreach (double percent in new[] { 0, 0.1, 1, 25, 50, 75, 90, 99, 99.9, 99.99, 100 })
            {
                int rank = Math.Max(1, (int)Math.Ceiling(percent / 100 * values.Count));
                long exact = values[rank - 1];
                long got = histogram.Percentile(percent);
                Assert.True(got >= exact && got - exact <= exact / 1000, $"seed {seed}: p{percent} is {exact}, not {got}");
            }

            Assert.Equal(values[^1], histogram.Max);
            Assert.Equal(values[0], histogram.Min);
            Assert.Equal(values.Count, histogram.Count);
            Assert.Equal(values.Average(), histogram.Mean, values.Average() * 1e-9);
        }
    }

    [Fact]
    public void EveryPowerOfTwoAndItsNeighboursFallIntoACellThatHoldsThem()
    {
        for (int bit = 0; bit < 37; bit++)
        {
            foreach (long value in new[] { (1L << bit) - 1, 1L << bit, (1L << bit) + 1 })
            {
                var histogram = new LatencyHistogram();
                histogram.Record(value);
                Assert.Equal(Math.Min(value, LatencyHistogram.HighestTrackable), histogram.Percentile(50));
            }
        }
    }

    [Fact]
    public void AddingTwoIsRecordingBothInOne()
    {
        var random = new SeededRandom(7);
        LatencyHistogram first = new(), second = new(), both = new();
        for (int i = 0; i < 5000; i++)
        {
            long value = random.NextInt64(1L << random.Next(1, 30));
            (random.OneIn(3) ? first : second).Record(value);
            both.Record(value);
        }

        first.Add(second);
        Assert.Equal(both.Count, first.Count);
        Assert.Equal(both.Max, first.Max);
        Assert.Equal(both.Min, first.Min);
        for (double percent = 0; percent <= 100; percent += 0.5)
            Assert.Equal(both.Percentile(percent), first.Percentile(percent));
        first.Clear();
        Assert.Equal((0, 0, 0, 0), (first.Count, first.Max, first.Min, first.Percentile(99)));
    }

    [Fact]
    public void NegativeAndHugeValuesAreClampedNotLost()
    {
        var histogram = new LatencyHistogram();
        histogram.Record(-5);
        histogram.Record(long.MaxValue);
        Assert.Equal(2, histogram.Count);
        Assert.Equal(0, histogram.Min);
        Assert.Equal(LatencyHistogram.HighestTrackable, histogram.Max);
    }

    [Fact]
    public void RecordingAllocatesNothing()
    {
        var histogram = new LatencyHistogram();
        histogram.Record(1);

        // A collection that another thread needs counts the rest of this one's block as allocated: once, and not in each round.
        long least = long.MaxValue;
        for (int round = 0; round < 5; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 10_000; i++)
                histogram.Record(i * 1009L);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.Equal(0, least);
    }
}
