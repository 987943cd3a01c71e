using System.Text;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Machine;
using Kvasir.Storage.Store;

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
            Assert.Equal(["user:1 = Ada", "user:2 = Grace"], Example(_folder + "/orders"));
    }

    private static List<string> Example(string folder)
    {
        List<string> lines = [];

        // begin of the example
        using var scheduler = new ThreadScheduler(TimeProvider.System);
        using DurableStore store = DurableStore.Open(
            new PosixFileSystem(), scheduler, folder, new LsmEngineFactory(), new DurableStoreOptions());

        var batch = new WriteBatch();
        batch.Put("user:1"u8, "Ada"u8);
        batch.Put("user:2"u8, "Grace"u8);
        batch.Delete("user:3"u8);
        store.Write(batch);                             // all or nothing, and on stable storage when it returns

        var value = new BytesBuffer();
        bool found = store.Get("user:1"u8, value).Found;

        using EngineSnapshot snapshot = store.CreateSnapshot();
        using EngineIterator users = store.CreateIterator(new IteratorOptions
        {
            LowerBound = "user:"u8, UpperBound = "user;"u8, View = ReadView.At(snapshot),
        });
        for (users.SeekToFirst(); users.Valid; users.Next())
            lines.Add($"{Encoding.UTF8.GetString(users.Key)} = {Encoding.UTF8.GetString(users.Value)}");

        // end of the example
        Assert.True(found);
        Assert.Equal("Ada"u8.ToArray(), value.WrittenSpan.ToArray());
        return lines;
    }
}
