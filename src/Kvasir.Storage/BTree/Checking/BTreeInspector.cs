using System.Globalization;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.BTree.Checking;

/// <summary>Tells the parts of a store's file for a person: meta pages, then page by page what its header says.</summary>
public static unsafe class BTreeInspector
{
    /// <summary>Which meta page counts, then every page of the store. Throws where neither meta page is whole.</summary>
    public static IEnumerable<InspectedPart> Inspect(IFileSystem files, string path)
    {
        using IFile file = files.Open(path, FileOpenMode.Read);
        OpenedFile opened = StoreFile.Read(file);
        PageLayout layout = opened.Meta.Layout;
        yield return Meta(opened);
        var bytes = new byte[layout.PageBytes];
        for (uint number = PageLayout.MetaPages; number < opened.Meta.PageCount; number++)
        {
            int read = file.Read(bytes, layout.OffsetOf(number));
            yield return read == bytes.Length ? Page(layout, bytes, number) : Part(layout, number, 1, "missing");
        }
    }

    private static InspectedPart Meta(OpenedFile opened)
    {
        MetaPage meta = opened.Meta;
        return Part(
            meta.Layout,
            opened.MetaNumber,
            1,
            meta.IsSeal ? "meta page, seal" : "meta page",
            ("version", MetaPage.Version),
            ("transaction", meta.Transaction),
            ("page bytes", meta.Layout.PageBytes),
            ("pages", meta.PageCount),
            ("free", meta.FreePages),
            ("root", Tree(meta.Root)),
            ("dead trees", Tree(meta.Dead)),
            ("listed pages", meta.Listed is null ? "none, synced before" : meta.Listed.Length),
            ("user data", Convert.ToHexString(meta.User)));
    }

    /// <summary>A page by its header alone: a free one still says what it was, and the inner pages of a run have none.</summary>
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
                    ("first key", Convert.ToHexString(NodePage.Key(page, 0)))),
            };
        }
    }

    private static string Tree(TreeRoot root) => root.IsEmpty ? "empty" : $"page {root.Page}, level {root.Level}";

    private static InspectedPart Part(PageLayout layout, uint number, uint pages, string kind, params (string Name, object Value)[] fields) =>
        new(
            layout.OffsetOf(number),
            (long)pages << layout.Shift,
            kind,
            [
                new KeyValuePair<string, string>("page", number.ToString(CultureInfo.InvariantCulture)),
                .. fields.Select(f => new KeyValuePair<string, string>(f.Name, Convert.ToString(f.Value, CultureInfo.InvariantCulture) ?? "")),
            ]);
}
