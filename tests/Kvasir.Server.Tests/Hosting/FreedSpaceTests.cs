using System.Diagnostics;
using System.Net;
using Kvasir.Primitives;
using Kvasir.Server.Hosting;
using Kvasir.Server.Tests.Stress;
using Kvasir.Storage.Journal;

namespace Kvasir.Server.Tests.Hosting;

public sealed class FreedSpaceTests
{
    // Only a server that never gives back the space reaches it.
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);

    /// <summary>Nothing is written after it that could fill a memtable or a level.</summary>
    [Theory]
    [InlineData("FLUSHALL", 0)]
    [InlineData("FLUSHDB", 1)]
    public async Task TheDiskIsGivenBackAfter(string command, int database)
    {
        const long WrittenBytes = 100 << 20;
        const long LeftBytesMax = 12 << 20;
        await using ServedNode served = await ServedNode.Start(
            new ServerOptions { Resp = [new(IPAddress.Loopback, 0)], IoThreads = 1 },
            journal: new JournalOptions { SegmentBytes = 1 << 20 });
        using RespClient client = new(served.Server.Resp[0]);
        Assert.Equal("OK", client.Call("SELECT", Text(database)));
        var random = new SeededRandom(1);
        byte[] noise = new byte[75_000];
        for (int i = 0; i < WrittenBytes / 100_000; i++)
        {
            random.NextBytes(noise);
            Assert.Equal("OK", client.Call("SET", "key" + Text(i), Convert.ToBase64String(noise)));
        }

        Assert.True(FolderBytes(served.Folder) > WrittenBytes / 2, "most of it has been flushed already");
        Assert.Equal("OK", client.Call("SELECT", "0"));
        Assert.Equal("OK", client.Call("SET", "other", "kept"));
        Assert.Equal("OK", client.Call("SELECT", Text(database)));
        Assert.Equal("OK", client.Call(command));
        Until(() => FolderBytes(served.Folder) < LeftBytesMax, served.Folder);
        Assert.Equal(":0", client.Call("DBSIZE"));
        Assert.Equal("OK", client.Call("SELECT", "0"));
        Assert.Equal(command == "FLUSHALL" ? "nil" : "\"kept\"", client.Call("GET", "other"));
    }

    private static string Text(int number) => number.ToString(System.Globalization.CultureInfo.InvariantCulture);

    private static IEnumerable<FileInfo> Files(string folder) =>
        new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories);

    private static long FolderBytes(string folder)
    {
        long sum = 0;
        foreach (FileInfo file in Files(folder))
        {
            try
            {
                sum += file.Length;
            }
            catch (FileNotFoundException)
            {
                // Deleted meanwhile.
            }
        }

        return sum;
    }

    private static void Until(Func<bool> condition, string folder)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            if (Stopwatch.GetElapsedTime(start) > s_patience)
                Assert.Fail(string.Join('\n', Files(folder).Select(file => file.FullName)));
            Thread.Yield();
        }
    }
}
