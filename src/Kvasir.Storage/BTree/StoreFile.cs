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
    public static OpenedFile Read(IFile file) => Read(file, writesAgain: false);

    /// <summary>
    /// As <see cref="Read(IFile)"/>, for whoever writes to it next. The commit that counts may be in the system's cache alone: a process was killed
    /// before its sync, or the sync failed, and then the system may take pages for written that are not, so that no later sync writes them (Rebello et
    /// al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). Therefore what may have been under way is written once more, the same
    /// bytes in the same places, and synced. What lies there on the disk is the same already, or free in the commit before.
    /// </summary>
    public static OpenedFile ReadAndSecure(IFile file)
    {
        OpenedFile opened = Read(file, writesAgain: true);
        file.Sync(SyncMode.Full);
        return opened;
    }

    private static OpenedFile Read(IFile file, bool writesAgain)
    {
        List<(MetaPage Meta, uint Number, byte[] Page)> found = [];
        long length = file.Length;
        var buffer = new byte[PageLayout.PageBytesMax];
        for (int pageBytes = PageLayout.PageBytesMin; pageBytes <= PageLayout.PageBytesMax && found.Count < 2; pageBytes *= 2)
        {
            for (uint number = 0; number < PageLayout.MetaPages; number++)
            {
                Span<byte> page = buffer.AsSpan(0, pageBytes);
                if (file.Read(page, (long)number * pageBytes) == pageBytes && MetaPage.Decode(file.Path, page, number) is { } meta)
                    found.Add((meta, number, page.ToArray()));
            }
        }

        if (found.Count == 0)
            throw new CorruptionException(file.Path, 0, "neither of the two meta pages is whole: it is not a store of this kind, or damaged");
        found.Sort((x, y) => y.Meta.Transaction.CompareTo(x.Meta.Transaction));
        foreach ((MetaPage meta, uint number, byte[] page) in found)
        {
            bool isLong = meta.Layout.OffsetOf(meta.PageCount) <= length;
            if (meta.Listed is not null && !(isLong && EndOfListed(file, meta, writesAgain: false) is not null))
                continue;
            if (!isLong)
                throw new CorruptionException(file.Path, length, $"the file ends here and should have {meta.Layout.OffsetOf(meta.PageCount)} bytes");

            // Of an earlier one it is known that it is durable: another was begun on it.
            if (writesAgain && number == found[0].Number && !TryWriteAgain(file, meta, before: found.Count > 1 ? found[1].Meta : null, page, number))
                continue;
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

    /// <summary>
    /// Its pages, if it lists them (those of others were synced before their meta page was written), and the meta page. False when they are not
    /// read the same a second time.
    /// </summary>
    private static bool TryWriteAgain(IFile file, MetaPage meta, MetaPage? before, byte[] metaPage, uint metaNumber)
    {
        PageLayout layout = meta.Layout;
        if (meta.Listed is not null)
        {
            if (EndOfListed(file, meta, writesAgain: true) is not { } end)
                return false;

            // Where the file grew for it, its length is as uncertain as its pages, and the last page may be a free one that nobody wrote.
            if (end < meta.PageCount && meta.PageCount > before?.PageCount)
                file.Write(new byte[layout.PageBytes], layout.OffsetOf(meta.PageCount - 1));
        }

        file.Write(metaPage, layout.OffsetOf(metaNumber));
        return true;
    }

    /// <summary>
    /// The page behind the last that is listed; null unless all of them are there. Each is written again, as it was found, if <paramref name="writesAgain"/>.
    /// </summary>
    private static uint? EndOfListed(IFile file, MetaPage meta, bool writesAgain)
    {
        uint end = 0;
        PageLayout layout = meta.Layout;
        var page = new byte[layout.PageBytes];
        foreach (ListedPage listed in meta.Listed!)
        {
            if (file.Read(page, layout.OffsetOf(listed.Page)) != page.Length)
                return null;
            byte[]? whole = page;
            fixed (byte* start = page)
            {
                PageHeader* header = (PageHeader*)start;
                if (header->Checksum != listed.Checksum || header->Transaction != meta.Transaction || header->Number != listed.Page)
                    return null;
                if (header->Kind == PageKind.Overflow && header->Extent > 1)
                    whole = ReadWholeRun(file, layout, listed, header->Extent);
                else if (layout.ChecksumOf(start, page.Length) != listed.Checksum)
                    whole = null;
            }

            if (whole is null)
                return null;
            if (writesAgain)
                file.Write(whole, layout.OffsetOf(listed.Page));
            end = Math.Max(end, listed.Page + (uint)(whole.Length >> layout.Shift));
        }

        return end;
    }

    private static byte[]? ReadWholeRun(IFile file, PageLayout layout, ListedPage listed, uint pages)
    {
        if (pages > CommitWriter.ListedBytesMax >> layout.Shift)
            return null;
        var run = new byte[(long)pages << layout.Shift];
        if (file.Read(run, layout.OffsetOf(listed.Page)) != run.Length)
            return null;
        fixed (byte* start = run)
            return layout.ChecksumOf(start, run.Length) == listed.Checksum ? run : null;
    }
}
