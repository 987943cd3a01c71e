using Kvasir.Storage.BTree.Checking;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.BTree.Sorted;

/// <summary>Tells the parts of an engine's tree, and of any other B+tree store, for <c>kvasir inspect</c>.</summary>
public static class TreeInspector
{
    /// <summary>By its name, or by what it begins with.</summary>
    public static bool Knows(IFileSystem files, string path) =>
        Path.GetFileName(path) == SortedTree.FileName || BTreeInspector.Knows(files, path);

    /// <summary>As <see cref="BTreeInspector.Inspect(IFileSystem, string, bool)"/>, with what an engine keeps with its commits and values.</summary>
    public static IEnumerable<InspectedPart> Inspect(IFileSystem files, string path, bool entries = false)
    {
        bool isOfEngine = false;
        return BTreeInspector.Inspect(
            files,
            path,
            entries,
            user =>
            {
                if (!TreeMark.TryRead(user, out TreeMark mark))
                    return null;
                isOfEngine = true;
                return
                [
                    ("flushed position", mark.Flushed), ("last sequence", mark.LastSequence), ("digest", mark.Digest),
                    ("owner", mark.Owner.IsNone ? "(none)" : mark.Owner), ("keys, about", mark.Keys),
                ];
            },
            value => isOfEngine && TreeRecord.TryRead(value, out Buffered.Keys.Trailer trailer, out long expiresAtMs, out ReadOnlySpan<byte> own)
                ? [("sequence", trailer.Sequence), ("kind", trailer.Kind), ("expires at ms", expiresAtMs), ("value", BTreeInspector.Show(own))]
                : null);
    }
}
