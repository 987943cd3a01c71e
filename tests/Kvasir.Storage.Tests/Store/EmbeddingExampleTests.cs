using System.Text;
using Kvasir.Storage.Embedded;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Tests.Store;

/// <summary>The README's example of embedding, kept word for word the same by a test of the architecture.</summary>
public sealed class EmbeddingExampleTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void TheExampleOfTheReadmeDoesWhatItSays()
    {
        for (int run = 0; run < 2; run++)
            Assert.Equal(["5 bytes", "user:1 = Ada", "user:2 = Grace"], Example(_folder + "/orders"));
    }

    private static List<string> Example(string folder)
    {
        List<string> lines = [];

        // begin of the example
        using OrderedStore store = OrderedStore.Open(folder);
        store.Put("user:1", "Ada");                     // on stable storage when it returns
        string? name = store.GetString("user:1");

        var batch = new WriteBatch();
        batch.Put("user:2"u8, "Grace"u8);
        batch.Delete("user:3"u8);
        store.Write(batch);                             // all or nothing
        store.Put("session:7", "open", timeToLive: TimeSpan.FromMinutes(30));

        using (ValueLease lease = store.Lease("user:2"u8))
            lines.Add($"{lease.Value.Length} bytes");   // no copy of your own, no allocation

        using EngineSnapshot snapshot = store.CreateSnapshot();
        using EngineIterator users = store.CreateIterator(new IteratorOptions
        {
            LowerBound = "user:"u8, UpperBound = "user;"u8, View = ReadView.At(snapshot),
        });
        for (users.SeekToFirst(); users.Valid; users.Next())
            lines.Add($"{Encoding.UTF8.GetString(users.Key)} = {Encoding.UTF8.GetString(users.Value)}");

        // end of the example
        Assert.Equal("Ada", name);
        return lines;
    }
}
