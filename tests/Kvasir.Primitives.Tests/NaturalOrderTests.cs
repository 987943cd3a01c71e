namespace Kvasir.Primitives.Tests;

public sealed class NaturalOrderTests
{
    [Fact]
    public void DigitsAreNumbers()
    {
        string[] sorted = ["", "1", "2", "010", "10", "a", "db", "db0", "db1", "db1a", "db2", "db9", "db10", "db10x2", "db10x10", "db99999999999999999999998", "db99999999999999999999999", "dc", "users"];
        for (int i = 0; i < sorted.Length; i++)
        {
            for (int j = 0; j < sorted.Length; j++)
                Assert.Equal(i.CompareTo(j), Math.Sign(NaturalOrder.Instance.Compare(sorted[i], sorted[j])));
        }
    }
}
