using System.Globalization;
using Kvasir.Cli.LocalClusters;

namespace Kvasir.Cli.Tests.LocalClusters;

public sealed class FreePortsTests
{
    /// <summary>Those may be somebody's before the node listens there, or while it is away.</summary>
    [Fact]
    public void AllAreDifferentAndNoneIsOfThoseThatTheSystemGivesToOthers()
    {
        int[] ports = FreePorts.Take(50);
        Assert.Equal(50, ports.Distinct().Count());
        if (!File.Exists(FreePorts.SystemsRange))
            return;
        int[] range = [.. File.ReadAllText(FreePorts.SystemsRange).Split('\t').Select(static t => int.Parse(t, CultureInfo.InvariantCulture))];

        // A machine may be set to give them all away.
        if (range[0] > 20_000)
            Assert.DoesNotContain(ports, p => p >= range[0] && p <= range[1]);
    }

    /// <summary>So many of one range would meet by chance if it were left to that.</summary>
    [Fact]
    public void WhatWasChosenAndIsNotYetUsedIsNotChosenAgain()
    {
        if (!OperatingSystem.IsLinux())
            return;
        int[] first = FreePorts.Take(300), second = FreePorts.Take(300);
        Assert.Empty(first.Intersect(second));
    }
}
