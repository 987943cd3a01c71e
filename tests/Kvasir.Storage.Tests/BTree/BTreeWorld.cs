using System.Text;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.BTree;
using Kvasir.Storage.BTree.Checking;
using Kvasir.Storage.BTree.Trees;
using Kvasir.Storage.Files;
using Kvasir.Storage.Tests.Lsm;

namespace Kvasir.Storage.Tests.BTree;

/// <summary>A store on a simulated disk, and what the tests of it have in common.</summary>
internal sealed class BTreeWorld
{
    public const string File = "/db/store";

    public BTreeWorld(ulong seed, BTreeOptions? options = null)
        : this(seed, options, new SimulatedFileSystem(new SeededRandom(seed))) => Files.CreateFolder("/db");

    public BTreeWorld(ulong seed, BTreeOptions? options, SimulatedFileSystem files)
    {
        Options = options ?? new BTreeOptions { Identity = 42, MapBytesMin = 1 << 18 };
        Files = files;
    }

    public SimulatedFileSystem Files { get; }

    public BTreeOptions Options { get; }

    public InlineScheduler Scheduler { get; } = new();

    public static byte[] Key(string text) => Encoding.UTF8.GetBytes(text);

    public BTreeStore Open() => BTreeStore.Open(Files, File, Scheduler, Options);

    /// <summary>The checker finds nothing.</summary>
    public static void AssertSound(IFileSystem files, string when = "")
    {
        IReadOnlyList<DamageFinding> findings = BTreeVerifier.Verify(files, File);
        Assert.True(findings.Count == 0, $"{when}: {string.Join('\n', findings.Take(5).Select(f => $"{f.Offset}: {f.Detail}"))}");
    }

    /// <summary>All values of a bucket in order, read forwards; backwards must be the same.</summary>
    public static List<(byte[] Key, byte[] Value)> ReadAll(Bucket bucket)
    {
        List<(byte[] Key, byte[] Value)> all = [];
        BTreeCursor cursor = bucket.OpenCursor();
        for (bool found = cursor.SeekFirst(); found; found = cursor.Next())
        {
            if (!cursor.IsBucket)
                all.Add((cursor.Key.ToArray(), cursor.Value.ToArray()));
        }

        int at = all.Count;
        for (bool found = cursor.SeekLast(); found; found = cursor.Previous())
        {
            if (cursor.IsBucket)
                continue;
            at--;
            Assert.True(cursor.Key.SequenceEqual(all[at].Key) && cursor.Value.SequenceEqual(all[at].Value));
        }

        Assert.Equal(0, at);
        return all;
    }
}
