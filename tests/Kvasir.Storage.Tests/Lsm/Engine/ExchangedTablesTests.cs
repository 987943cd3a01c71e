using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Lsm.Tables;

namespace Kvasir.Storage.Tests.Lsm.Engine;

/// <summary>Two engines with tables of one number, one length, one set of keys and one time: only the values differ.</summary>
public sealed class ExchangedTablesTests
{
    private readonly SimulatedFileSystem _files = new(new SeededRandom(1));
    private readonly SimulatedScheduler _scheduler = new(new SeededRandom(2));

    [Fact]
    public void TablesOfTwoEnginesThatChangedPlacesStopTheStart()
    {
        string first = Make("/db0", 'a');
        string second = Make("/db1", 'b');
        Assert.Equal(_files.FileLength(first), _files.FileLength(second));
        Assert.Equal(Path.GetFileName(first), Path.GetFileName(second));
        byte[] content = _files.ReadAll(first);
        _files.WriteAll(first, _files.ReadAll(second));
        _files.WriteAll(second, content);
        foreach (string table in new[] { first, second })
        {
            string folder = table[..4];
            Assert.Contains(TableVerifier.Verify(_files, folder), finding => finding.Path == table);
            Assert.Equal(table, Assert.Throws<CorruptionException>(() => Open(folder)).Path);
        }
    }

    private string Make(string folder, char value)
    {
        using (IStorageEngine engine = Open(folder))
        {
            WriteBatch batch = new();
            for (int i = 0; i < 50; i++)
                batch.Put(BitConverter.GetBytes(i), [(byte)value, .. BitConverter.GetBytes(i * 0x9E3779B1)]);
            engine.Stage(batch.Bytes);
            engine.Publish(new LogPosition(1));
            engine.MarkStable(new LogPosition(1));
            engine.Flush();
            engine.WaitForFlush();
        }

        return folder + "/" + Assert.Single(_files.ListFiles(folder), name => name.EndsWith(".sst", StringComparison.Ordinal));
    }

    private IStorageEngine Open(string folder) => new LsmEngineFactory(new LsmOptions { CompressFromLevel = 7 }).Open(
        folder, new EngineEnvironment(_files, _scheduler, new MemoryBudget(MemoryBudget.MinimumBytes)));
}
