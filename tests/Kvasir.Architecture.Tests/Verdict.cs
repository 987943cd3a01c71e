namespace Kvasir.Architecture.Tests;

internal static class Verdict
{
    /// <summary>Fails with every finding on a line of its own; xunit's own message cuts them short.</summary>
    public static void None(IEnumerable<string> findings)
    {
        string[] all = [.. findings];
        Assert.True(all.Length == 0, string.Join('\n', all));
    }
}
