namespace Kvasir.Cli.Tests.Processes;

/// <summary>Keys that a client writes one after another: each must be acknowledged in the end, and is there from then on.</summary>
internal sealed class AcknowledgedKeys
{
    public int Count { get; private set; }

    public void Write(string port)
    {
        Assert.Equal("OK", RunningCluster.Insist(port, "SET", $"acknowledged:{Count}", $"value {Count}"));
        Count++;
    }

    /// <param name="portOf">Which node is asked for which of them.</param>
    public void AssertAllThere(Func<int, string> portOf)
    {
        for (int i = 0; i < Count; i++)
            Assert.Equal($"value {i}", RunningCluster.Insist(portOf(i), "GET", $"acknowledged:{i}"));
    }
}
