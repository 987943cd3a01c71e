using System.Text;
using Kvasir.Server.Commands;
using Kvasir.Storage.Engines;

namespace Kvasir.Server.Tests.Commands;

/// <summary>INFO engines: what each engine alone has is told of it, and of no other.</summary>
public sealed class EngineInfoTests
{
    [Fact]
    public void EachEngineTellsWhatIsItsOwn()
    {
        var lsm = new EngineStatistics { DiskBytes = 10, Levels = [(2, 20), (0, 0), (5, 50)] };
        var log = new EngineStatistics { DiskBytes = 10, IndexBytes = 30, IndexLimitBytes = 40, IndexPercent = 75 };
        var btree = new EngineStatistics
        {
            DiskBytes = 10,
            TreePages = new TreePageStatistics { PageBytes = 4096, Pages = 9, FreePages = 4, HeldPages = 3, Depth = 2, Readers = 1, OldestReaderLag = 8 },
        };
        string ofLsm = EngineInfo.Line("lsm", [lsm, lsm]), ofLog = EngineInfo.Line("log", [log]), ofTree = EngineInfo.Line("btree", [btree, btree]);

        Assert.StartsWith("engine=lsm,replicas=2,keys=0,disk_bytes=20,", ofLsm, StringComparison.Ordinal);
        Assert.EndsWith(",level_files=4/0/10", ofLsm, StringComparison.Ordinal);
        Assert.EndsWith(",index_bytes=30,index_limit_bytes=40,index_fullest_percent=75", ofLog, StringComparison.Ordinal);
        Assert.EndsWith(",pages=18,free_pages=8,held_pages=6,page_bytes=4096,depth=2,readers=2,oldest_reader_lag=8", ofTree, StringComparison.Ordinal);
        foreach (string own in new[] { "level_files", "index_bytes", "pages" })
            Assert.Single(new[] { ofLsm, ofLog, ofTree }, line => line.Contains(own, StringComparison.Ordinal));
    }

    [Fact]
    public void TheSectionHasALineForEachDatabase()
    {
        using var world = new CommandWorld();
        string info = Encoding.Latin1.GetString(world.Execute("INFO", "engines"));
        Assert.Contains("# Engines", info, StringComparison.Ordinal);
        Assert.Contains("\r\ndb0:engine=model,replicas=1,", info, StringComparison.Ordinal);
    }
}
