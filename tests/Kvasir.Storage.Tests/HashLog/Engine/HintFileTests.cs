namespace Kvasir.Storage.Tests.HashLog.Engine;

/// <summary>What hint files repeat is made anew.</summary>
public sealed class HintFileTests
{
    [Fact]
    public void AMissingHintFileIsMadeAnew()
    {
        using var world = new LogWorld();
        world.FillMixed();
        SortedDictionary<string, string> expected = world.All();
        world.Engine.Dispose();
        string[] hints = [.. world.Disk.Paths.Where(p => p.EndsWith(".hint", StringComparison.Ordinal))];
        var content = hints.ToDictionary(h => h, world.Disk.ReadAll);
        foreach (string hint in hints)
            world.Disk.Delete(hint);
        world.Reopen();
        Assert.Equal(expected, world.All());
        Assert.All(hints, h => Assert.Equal(content[h], world.Disk.ReadAll(h)));
    }
}
