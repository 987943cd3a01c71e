using System.Globalization;
using System.Text;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.BTree.Checking;

/// <summary>What the owner of a store knows of what it keeps there; null where it is none of its own.</summary>
internal delegate IReadOnlyList<(string Name, object Value)>? OwnBytes(ReadOnlySpan<byte> bytes);

/// <summary>
/// Tells the parts of a store's file for a person: meta pages, then page by page what its header says, and if asked for each entry of leaves.
/// </summary>
public static unsafe class BTreeInspector
{
    private const int BytesShown = 40;

    /// <summary>Whether the file has a meta page of such a store in one of the places where they lie, whole or not.</summary>
    public static bool Knows(IFileSystem files, string path)
    {
        using IFile file = files.Open(path, FileOpenMode.Read);
        var start = new byte[PageHeader.Bytes + MetaPage.Magic.Length];
        for (int second = PageLayout.PageBytesMin; second <= PageLayout.PageBytesMax; second *= 2)
        {
            foreach (long at in new[] { 0L, second })
            {
                if (file.Read(start, at) == start.Length && start.AsSpan(PageHeader.Bytes).SequenceEqual(MetaPage.Magic))
                    return true;
            }
        }

        return false;
    }

    /// <summary>
    /// The meta page that counts, the other one, then every page of the store. Throws where neither meta page is whole. With
    /// <paramref name="entries"/> each entry of leaves follows them, at its place.
    /// </summary>
    public static IEnumerable<InspectedPart> Inspect(IFileSystem files, string path, bool entries = false) =>
        Inspect(files, path, entries, static _ => null, static _ => null);

    internal static IEnumerable<InspectedPart> Inspect(IFileSystem files, string path, bool entries, OwnBytes ofCommit, OwnBytes ofValue)
    {
        using IFile file = files.Open(path, FileOpenMode.Read);
        OpenedFile opened = StoreFile.Read(file);
        PageLayout layout = opened.Meta.Layout;
        var bytes = new byte[layout.PageBytes];
        yield return Meta(opened.Meta, opened.MetaNumber, ofCommit);
        uint other = opened.MetaNumber ^ 1;
        yield return file.Read(bytes, layout.OffsetOf(other)) == bytes.Length && MetaPage.Decode(path, bytes, other) is { } meta
            ? Meta(meta, other, ofCommit)
            : Part(layout, other, 1, "meta page, not whole", ("because", "a commit was cut short, or it is damaged"));
        ulong[] free = [];
        for (uint number = PageLayout.MetaPages; number < opened.Meta.PageCount; number++)
        {
            uint place = number % layout.ChunkPages;
            if (place == 0 || number == PageLayout.MetaPages)
                free = FreePages(file, opened.Meta, number / layout.ChunkPages);
            if (free.Length > 0 && (free[place >> 6] & (1UL << (int)(place & 63))) != 0)
            {
                yield return Part(layout, number, 1, "free");
                continue;
            }

            if (file.Read(bytes, layout.OffsetOf(number)) != bytes.Length)
            {
                yield return Part(layout, number, 1, "missing");
                continue;
            }

            yield return Page(layout, bytes, number);
            if (!entries)
                continue;
            foreach (InspectedPart entry in Entries(file, layout, bytes, number, ofValue))
                yield return entry;
        }
    }

    private static InspectedPart Meta(MetaPage meta, uint number, OwnBytes ofCommit) => Part(
        meta.Layout,
        number,
        1,
        meta.IsSeal ? "meta page, seal" : "meta page",
        [
            ("version", meta.FileVersion),
            ("transaction", meta.Transaction),
            ("page bytes", meta.Layout.PageBytes),
            ("pages", meta.PageCount),
            ("free", meta.FreePages),
            ("root", Tree(meta.Root)),
            ("dead trees", Tree(meta.Dead)),
            ("deadlines", Tree(meta.Deadlines)),
            ("listed pages", meta.Listed is null ? "none, synced before" : meta.Listed.Length),
            .. ofCommit(meta.User) ?? [("user data", Convert.ToHexString(meta.User))],
        ]);

    // None where the bitmap is damaged: then every page is told by what it says of itself.
    private static ulong[] FreePages(IFile file, MetaPage meta, uint chunk)
    {
        try
        {
            return StoreFile.ReadBitmap(file, meta, chunk);
        }
        catch (CorruptionException)
        {
            return [];
        }
    }

    /// <summary>A page by its header alone; the inner pages of a run have none.</summary>
    private static InspectedPart Page(PageLayout layout, byte[] bytes, uint number)
    {
        fixed (byte* page = bytes)
        {
            PageHeader* header = (PageHeader*)page;
            if (layout.FaultOf(page, number, ulong.MaxValue) is { } fault)
                return Part(layout, number, 1, "no header", ("because", fault));
            return header->Kind switch
            {
                PageKind.Overflow => Part(layout, number, header->Extent, "overflow run", ("transaction", header->Transaction), ("value bytes", header->ValueBytes)),
                PageKind.Bitmap => Part(layout, number, 1, "bitmap", ("transaction", header->Transaction), ("chunk", header->Extent)),
                _ => Part(
                    layout,
                    number,
                    1,
                    header->Kind == PageKind.Leaf ? "leaf" : "branch",
                    ("transaction", header->Transaction),
                    ("level", header->Level),
                    ("cells", header->Count),
                    ("bytes used", NodePage.Used(page, layout.PageBytes)),
                    ("first key", header->Level > 0 || header->Count == 0 ? "(any)" : Show(NodePage.Key(page, 0)))),
            };
        }
    }

    private static List<InspectedPart> Entries(IFile file, PageLayout layout, byte[] bytes, uint number, OwnBytes ofValue)
    {
        List<InspectedPart> entries = [];
        fixed (byte* page = bytes)
        {
            PageHeader* header = (PageHeader*)page;
            if (layout.FaultOf(page, number, ulong.MaxValue) is not null || header->Kind != PageKind.Leaf)
                return entries;
            for (int i = 0; i < header->Count; i++)
            {
                byte* cell = NodePage.Cell(page, i);
                var stored = new ReadOnlySpan<byte>(NodePage.ValueStart(cell), NodePage.ValueBytes(cell));
                List<(string, object)> fields = [("key", Show(NodePage.LeafKey(cell)))];
                switch (NodePage.Kind(cell))
                {
                    case EntryKind.Bucket:
                        fields.Add(("bucket", Tree(TreeRoot.Read(stored))));
                        break;
                    case EntryKind.Expiring when stored.Length < Deadline.HeaderBytes:
                        fields.Add(("because", "it is shorter than a deadline"));
                        break;
                    case EntryKind.Overflow:
                    case EntryKind.Expiring when Deadline.IsOfRun(NodePage.ValueStart(cell)):
                        AddDeadline(fields, cell);
                        uint* reference = NodePage.Run(cell);
                        fields.AddRange([("overflow run", reference[0]), ("value bytes", reference[1])]);
                        var first = new byte[(int)Math.Min(reference[1], BytesShown)];
                        int read = file.Read(first, layout.OffsetOf(reference[0]) + PageHeader.Bytes);
                        fields.AddRange(ofValue(first.AsSpan(0, read)) ?? [("value", Show(first.AsSpan(0, read)))]);
                        break;
                    case EntryKind.Expiring:
                        AddDeadline(fields, cell);
                        fields.AddRange([("value", Show(stored[Deadline.HeaderBytes..])), ("value bytes", stored.Length - Deadline.HeaderBytes)]);
                        break;
                    default:
                        fields.AddRange(ofValue(stored) ?? [("value", Show(stored))]);
                        fields.Add(("value bytes", stored.Length));
                        break;
                }

                entries.Add(new InspectedPart(
                    layout.OffsetOf(number) + NodePage.Slot(page, i), NodePage.CellBytes(page, i) - NodePage.SlotBytes, "entry", [.. fields.Select(Field)]));
            }
        }

        return entries;
    }

    private static void AddDeadline(List<(string, object)> fields, byte* cell)
    {
        if (NodePage.Kind(cell) == EntryKind.Expiring)
            fields.Add(("expires at ms", Deadline.AtMs(NodePage.ValueStart(cell))));
    }

    /// <summary>Text where it is one, else hexadecimal; the beginning of what is long.</summary>
    internal static string Show(ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<byte> shown = bytes.Length > BytesShown ? bytes[..BytesShown] : bytes;
        string text = shown.IndexOfAnyExceptInRange((byte)' ', (byte)'~') < 0 ? Encoding.ASCII.GetString(shown) : Convert.ToHexString(shown);
        return shown.Length < bytes.Length ? text + "..." : text;
    }

    private static string Tree(TreeRoot root) => root.IsEmpty ? "empty" : $"page {root.Page}, level {root.Level}";

    private static KeyValuePair<string, string> Field((string Name, object Value) field) =>
        KeyValuePair.Create(field.Name, Convert.ToString(field.Value, CultureInfo.InvariantCulture) ?? "");

    private static InspectedPart Part(PageLayout layout, uint number, uint pages, string kind, params (string Name, object Value)[] fields) =>
        new(layout.OffsetOf(number), (long)pages << layout.Shift, kind, [Field(("page", number)), .. fields.Select(Field)]);
}
