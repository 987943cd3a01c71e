using System.Runtime.InteropServices;
using Kvasir.Primitives;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.BTree;

/// <summary>What is found in a file that is opened.</summary>
/// <param name="Meta">The meta page that counts.</param>
/// <param name="MetaNumber">Which of the two it is.</param>
/// <param name="NewestSeen">The highest transaction of either, also of one that does not count.</param>
internal sealed record OpenedFile(MetaPage Meta, uint MetaNumber, ulong NewestSeen);

/// <summary>Makes store files, and finds the commit that counts in those that are there.</summary>
internal static unsafe class StoreFile
{
    public static void Create(IFileSystem files, string path, BTreeOptions options)
    {
        if (!PageLayout.IsPageSize(options.PageBytes))
            throw new ArgumentException($"a page of {options.PageBytes} bytes: 4096, 8192, 16384 and 32768 are possible", nameof(options));
        string making = MakingName(path);
        if (files.FileExists(making))
            files.Delete(making);
        using (IFile file = files.Open(making, FileOpenMode.CreateNew))
        {
            file.Write(FirstPages(new PageLayout(options.PageBytes, options.Identity)), 0);
            file.Sync(SyncMode.Full);
        }

        GiveName(files, making, path);
    }

    /// <summary>What a file is called until it is whole.</summary>
    public static string MakingName(string path) => path + ".making";

    public static void GiveName(IFileSystem files, string making, string path)
    {
        files.Rename(making, path);
        files.SyncFolder(System.IO.Path.GetDirectoryName(path) is { Length: > 0 } folder ? folder : ".");
    }

    /// <summary>
    /// The newer meta page, if all pages that it lists are there, else the other. Reads two pages, and those that the last
    /// commit wrote if they are few.
    /// </summary>
    public static OpenedFile Read(IFile file)
    {
        List<(MetaPage Meta, uint Number)> found = [];
        long length = file.Length;
        var buffer = new byte[PageLayout.PageBytesMax];
        for (int pageBytes = PageLayout.PageBytesMin; pageBytes <= PageLayout.PageBytesMax && found.Count < 2; pageBytes *= 2)
        {
            for (uint number = 0; number < PageLayout.MetaPages; number++)
            {
                Span<byte> page = buffer.AsSpan(0, pageBytes);
                if (file.Read(page, (long)number * pageBytes) == pageBytes && MetaPage.Decode(file.Path, page, number) is { } meta)
                    found.Add((meta, number));
            }
        }

        if (found.Count == 0)
            throw new CorruptionException(file.Path, 0, "neither of the two meta pages is whole: it is not a store of this kind, or damaged");
        found.Sort((x, y) => y.Meta.Transaction.CompareTo(x.Meta.Transaction));
        foreach ((MetaPage meta, uint number) in found)
        {
            bool isLong = meta.Layout.OffsetOf(meta.PageCount) <= length;
            if (meta.Listed is not null && !(isLong && AreWhole(file, meta)))
                continue;
            if (!isLong)
                throw new CorruptionException(file.Path, length, $"the file ends here and should have {meta.Layout.OffsetOf(meta.PageCount)} bytes");
            return new OpenedFile(meta, number, found[0].Meta.Transaction);
        }

        throw new CorruptionException(file.Path, 0, "pages of the last commit are not as they were written, and there is no meta page of the commit before");
    }

    public static ulong[] ReadBitmap(IFile file, MetaPage meta, uint chunk)
    {
        PageLayout layout = meta.Layout;
        uint number = BitmapPageOf(layout, chunk, meta.SlotOf(chunk));
        var page = new byte[layout.PageBytes];
        if (file.Read(page, layout.OffsetOf(number)) != page.Length)
            throw layout.Damage(file.Path, number, "the file ends before the page does");
        fixed (byte* start = page)
        {
            PageHeader* header = (PageHeader*)start;
            if (layout.FaultOf(start, number, meta.Transaction) is { } fault)
                throw layout.Damage(file.Path, number, fault);
            if (header->Kind != PageKind.Bitmap || header->Extent != chunk)
                throw layout.Damage(file.Path, number, $"not the bitmap of chunk {chunk}");
        }

        return MemoryMarshal.Cast<byte, ulong>(page.AsSpan(2 * PageHeader.Bytes)).ToArray();
    }

    public static uint BitmapPageOf(PageLayout layout, uint chunk, bool slot) =>
        (chunk * layout.ChunkPages) + PageLayout.BitmapPage + (slot ? 1u : 0u);

    public static void EncodeBitmap(PageLayout layout, byte* page, uint chunk, uint number, ulong transaction, ReadOnlySpan<ulong> words)
    {
        new Span<byte>(page, layout.PageBytes).Clear();
        PageHeader* header = (PageHeader*)page;
        header->Kind = PageKind.Bitmap;
        header->Extent = chunk;
        words.CopyTo(new Span<ulong>(page + (2 * PageHeader.Bytes), layout.ChunkWords));
        layout.Seal(page, number, transaction, layout.PageBytes);
    }

    private static byte[] FirstPages(PageLayout layout)
    {
        var bytes = new byte[PageLayout.FirstRunPage * layout.PageBytes];
        for (uint number = 0; number < PageLayout.MetaPages; number++)
        {
            new MetaPage
            {
                Layout = layout,
                Transaction = PageLayout.MetaPages - number,
                PageCount = PageLayout.FirstRunPage,
                SlotBits = new byte[MetaPage.SlotBitBytes(layout.PageBytes)],
            }.Encode(bytes.AsSpan((int)layout.OffsetOf(number), layout.PageBytes), number);
        }

        fixed (byte* start = bytes)
            EncodeBitmap(layout, start + layout.OffsetOf(PageLayout.BitmapPage), 0, PageLayout.BitmapPage, 1, new ulong[layout.ChunkWords]);
        return bytes;
    }

    private static bool AreWhole(IFile file, MetaPage meta)
    {
        PageLayout layout = meta.Layout;
        var page = new byte[layout.PageBytes];
        foreach (ListedPage listed in meta.Listed!)
        {
            if (file.Read(page, layout.OffsetOf(listed.Page)) != page.Length)
                return false;
            fixed (byte* start = page)
            {
                PageHeader* header = (PageHeader*)start;
                if (header->Checksum != listed.Checksum || header->Transaction != meta.Transaction || header->Number != listed.Page)
                    return false;
                if (header->Kind == PageKind.Overflow && header->Extent > 1)
                {
                    if (!IsWholeRun(file, layout, listed, header->Extent))
                        return false;
                }
                else if (layout.ChecksumOf(start, page.Length) != listed.Checksum)
                {
                    return false;
                }
            }
        }

        return true;
    }

    private static bool IsWholeRun(IFile file, PageLayout layout, ListedPage listed, uint pages)
    {
        if (pages > CommitWriter.ListedBytesMax >> layout.Shift)
            return false;
        var run = new byte[(long)pages << layout.Shift];
        if (file.Read(run, layout.OffsetOf(listed.Page)) != run.Length)
            return false;
        fixed (byte* start = run)
            return layout.ChecksumOf(start, run.Length) == listed.Checksum;
    }
}
