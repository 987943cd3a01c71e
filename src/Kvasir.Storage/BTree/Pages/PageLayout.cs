using System.Numerics;
using System.Runtime.CompilerServices;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.BTree.Pages;

/// <summary>The numbers that follow from the size of a page, and what all pages of one file have in common.</summary>
internal sealed unsafe class PageLayout
{
    public const int PageBytesMin = 4096;
    public const int PageBytesMax = 32768;
    public const uint MetaPages = 2;

    /// <summary>The two pages of a chunk that hold its bitmap in turn, counted from the chunk's first page.</summary>
    public const uint BitmapPage = 2;

    public const uint BitmapSlots = 2;

    // A split leaves both halves within a page as long as no cell takes more than half of one.
    private const int CellsMin = 2;

    // Four separators a branch at least, whatever the keys.
    private const int BranchCellsMin = 4;

    private readonly uint _seed;

    public PageLayout(int pageBytes, ulong identity)
    {
        Check.That(IsPageSize(pageBytes));
        PageBytes = pageBytes;
        Shift = BitOperations.Log2((uint)pageBytes);
        Identity = identity;
        _seed = Crc32C.Compute(new ReadOnlySpan<byte>(&identity, sizeof(ulong)));
    }

    public int PageBytes { get; }

    /// <summary>Page numbers become offsets by a shift.</summary>
    public int Shift { get; }

    public ulong Identity { get; }

    /// <summary>Bytes of a page that slots and cells share.</summary>
    public int Usable => PageBytes - PageHeader.Bytes;

    /// <summary>Slot included.</summary>
    public int CellBytesMax => Usable / CellsMin;

    public int KeyBytesMax => (Usable / BranchCellsMin) - 24;

    /// <summary>Pages of a chunk: a bit each in its bitmap.</summary>
    public uint ChunkPages => (uint)((PageBytes - (2 * PageHeader.Bytes)) * 8);

    public int ChunkWords => (int)(ChunkPages / 64);

    /// <summary>First page of a chunk, counted from its start, that a run may begin at: runs do not leave their chunk.</summary>
    public const uint FirstRunPage = BitmapPage + BitmapSlots;

    public uint RunPagesMax => ChunkPages - FirstRunPage;

    public long ValueBytesMax => Math.Min(((long)RunPagesMax << Shift) - PageHeader.Bytes, Array.MaxLength);

    /// <summary>The meta page has one bit a chunk.</summary>
    public long PagesMax => Math.Min((long)ChunkPages * MetaPage.SlotBitBytes(PageBytes) * 8, uint.MaxValue);

    public static bool IsPageSize(long bytes) => bytes is >= PageBytesMin and <= PageBytesMax && BitOperations.IsPow2(bytes);

    public long OffsetOf(uint page) => (long)page << Shift;

    public uint RunPages(long valueBytes) => (uint)((valueBytes + PageHeader.Bytes + PageBytes - 1) >> Shift);

    /// <summary>A bitmap belongs to its file and to nothing else, and so does every page: the identity is part of the sum.</summary>
    public uint ChecksumOf(byte* page, long bytes)
    {
        uint sum = _seed;
        byte* at = page + sizeof(uint);
        for (long left = bytes - sizeof(uint); left > 0;)
        {
            int part = (int)Math.Min(left, 1 << 30);
            sum = Crc32C.Append(sum, new ReadOnlySpan<byte>(at, part));
            at += part;
            left -= part;
        }

        return sum;
    }

    public void Seal(byte* page, uint number, ulong transaction, long bytes)
    {
        PageHeader* header = (PageHeader*)page;
        header->Number = number;
        header->Transaction = transaction;
        header->Checksum = ChecksumOf(page, bytes);
    }

    /// <summary>What is wrong with a page that was read from its place, or null. Of an overflow page only the header is looked at.</summary>
    public string? FaultOf(byte* page, uint number, ulong newest)
    {
        PageHeader* header = (PageHeader*)page;
        bool isRun = header->Kind == PageKind.Overflow;
        if (!isRun && header->Checksum != ChecksumOf(page, PageBytes))
            return "the page's checksum does not match";
        if (header->Number != number)
            return $"page {header->Number} lies in the place of page {number}";
        if (header->Transaction > newest)
            return $"written by transaction {header->Transaction}, after {newest}";
        return header->Kind switch
        {
            PageKind.Leaf or PageKind.Branch => NodeFault(header),
            PageKind.Overflow => header->Extent == 0 || RunPages(header->ValueBytes) != header->Extent ? "an overflow run of a wrong length" : null,
            PageKind.Bitmap => null,
            _ => $"a page of kind {header->Kind}",
        };
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort NodeTag(int level) => (ushort)((level << 8) | (int)(level == 0 ? PageKind.Leaf : PageKind.Branch));

    private string? NodeFault(PageHeader* header)
    {
        if ((header->Kind == PageKind.Leaf) != (header->Level == 0))
            return $"a page of kind {header->Kind} at level {header->Level}";
        int slots = PageHeader.Bytes + (header->Count * 2);
        if (header->Count == 0 || slots > header->ContentStart || header->ContentStart > PageBytes || header->Garbage > PageBytes - header->ContentStart)
            return "slots and cells of the page overlap";
        int least = header->Level == 0 ? NodePage.LeafCellHeader : NodePage.BranchCellHeader;
        for (int i = 0; i < header->Count; i++)
        {
            int at = NodePage.Slot((byte*)header, i);
            if (at < header->ContentStart || at + least > PageBytes || at + NodePage.CellBytes((byte*)header, i) > PageBytes)
                return $"cell {i} lies outside of its page";
        }

        return null;
    }

    public CorruptionException Damage(string path, uint page, string detail) => new(path, OffsetOf(page), detail);
}
