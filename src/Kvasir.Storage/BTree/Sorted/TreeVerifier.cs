using Kvasir.Primitives;
using Kvasir.Storage.BTree.Checking;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.BTree.Sorted;

/// <summary>Checks everything that lies in the folder of a <c>btree</c> engine. Reads only; the engine should not be open.</summary>
public static class TreeVerifier
{
    /// <summary>Whether an engine of this kind lies, or lay, in the folder.</summary>
    public static bool Knows(IFileSystem files, string folder)
    {
        string tree = SortedTree.PathIn(folder);
        return files.FileExists(tree) || files.FileExists(StoreFile.MakingName(tree)) || files.FileExists(BTreeStore.LockPath(tree));
    }

    /// <summary>The file whose lock says that a process has the engine of the folder open.</summary>
    public static string LockPath(string folder) => BTreeStore.LockPath(SortedTree.PathIn(folder));

    /// <summary>
    /// All damage found; empty when all is well. <paramref name="progress"/> hears of the file when it was checked, with its bytes. Without
    /// <paramref name="mustExist"/> the folder may be one whose first opening was not completed. A folder that says that it is another's
    /// than <paramref name="owner"/>'s is damage, too. What is found is added to <paramref name="findings"/>, where there are some.
    /// </summary>
    public static IReadOnlyList<DamageFinding> Verify(
        IFileSystem files, string folder, Action<string, long>? progress = null, bool mustExist = true, EngineOwner owner = default,
        List<DamageFinding>? findings = null)
    {
        findings ??= [];
        string path = SortedTree.PathIn(folder);
        if (!files.FileExists(path))
        {
            if (mustExist)
                findings.Add(new DamageFinding(path, 0, $"{path} is missing"));
            return findings;
        }

        DamageFinding? stranger = null;
        IReadOnlyList<DamageFinding> pages = BTreeVerifier.Verify(files, path, user =>
        {
            // Nothing was flushed yet.
            if (user.Length == 0)
                return static (_, _, _) => "an entry in a tree that says of no log what it holds";
            TreeMark mark = SortedTree.MarkOf(path, user, isNew: false);
            if (!owner.IsNone && !mark.Owner.IsNone && mark.Owner != owner)
                stranger = new DamageFinding(path, 0, $"the tree is {mark.Owner}, and stands in the place of {owner}");
            return (kind, _, value) => FaultOf(kind, value, mark);
        });
        if (stranger is not null)
            findings.Add(stranger);
        findings.AddRange(pages);
        progress?.Invoke(path, LengthOf(files, path));
        return findings;
    }

    /// <summary>Up to where the tree holds the log; zero where it cannot be read.</summary>
    public static LogPosition FlushedPosition(IFileSystem files, string folder)
    {
        try
        {
            return SortedTree.ReadMark(files, folder).Flushed;
        }
        catch (StorageException)
        {
            return LogPosition.Zero;
        }
    }

    private static string? FaultOf(EntryKind kind, ReadOnlySpan<byte> value, TreeMark mark)
    {
        if (kind == EntryKind.Bucket)
            return "a bucket in the tree of an engine";
        if (!TreeRecord.TryRead(value, out Buffered.Keys.Trailer trailer, out _, out _))
            return "a value that is no record of an engine";
        return trailer.Sequence > mark.LastSequence
            ? $"a record with sequence number {trailer.Sequence}, after {mark.LastSequence}, the last that the tree has"
            : null;
    }

    private static long LengthOf(IFileSystem files, string path)
    {
        try
        {
            return files.FileLength(path);
        }
        catch (StorageException)
        {
            return 0;
        }
    }
}
