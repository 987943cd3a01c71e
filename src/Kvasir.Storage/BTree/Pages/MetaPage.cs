using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.BTree.Pages;

/// <summary>The root of a tree; page 0 is no tree's, and means that it is empty.</summary>
internal readonly record struct TreeRoot(uint Page, uint Level)
{
    public const int Bytes = 8;

    public bool IsEmpty => Page == 0;

    public static TreeRoot Read(ReadOnlySpan<byte> source) =>
        new(BinaryPrimitives.ReadUInt32LittleEndian(source), BinaryPrimitives.ReadUInt32LittleEndian(source[4..]));

    public void Write(Span<byte> target)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(target, Page);
        BinaryPrimitives.WriteUInt32LittleEndian(target[4..], Level);
    }
}

/// <summary>A page that a transaction wrote, and its checksum: only with exactly these does its meta page count.</summary>
internal readonly record struct ListedPage(uint Page, uint Checksum);

/// <summary>
/// Pages 0 and 1, written in turn: what one commit made of the file. A commit of few pages lists them, so that one sync is
/// enough for pages and meta together: at the next start it counts if all of them are there.
/// </summary>
internal sealed unsafe record MetaPage
{
    /// <summary>The newest that is read. A file is of version 1 until it has held an entry that expires.</summary>
    public const uint Version = 2;
    public const int UserBytesMax = 512;

    private const int ListStartsAfterBits = UserAt + UserBytesMax;
    private const int MagicAt = 32;
    private const int VersionAt = 40;
    private const int PageBytesAt = 44;
    private const int IdentityAt = 48;
    private const int RootAt = 56;
    private const int DeadAt = 64;
    private const int PageCountAt = 72;
    private const int FreePagesAt = 76;
    private const int UserLengthAt = 80;
    private const int ListLengthAt = 82;
    private const int DeadlinesAt = 88;
    private const int UserAt = 96;
    private const int ListEntryBytes = 8;

    // The pages were synced before the meta page was written: there is nothing to look at.
    private const ushort SyncedBefore = ushort.MaxValue;

    public static ReadOnlySpan<byte> Magic => "KVBTREE\0"u8;

    public required PageLayout Layout { get; init; }

    public required ulong Transaction { get; init; }

    public TreeRoot Root { get; init; }

    /// <summary>The tree of trees that wait to be freed.</summary>
    public TreeRoot Dead { get; init; }

    /// <summary>The tree of the entries that expire, by when they do.</summary>
    public TreeRoot Deadlines { get; init; }

    /// <summary>Never falls: trees that wait to be freed hold entries that are in no index any more.</summary>
    public uint FileVersion { get; init; } = 1;

    /// <summary>Pages of the file that count; the file may be longer.</summary>
    public uint PageCount { get; init; }

    public uint FreePages { get; init; }

    public byte[] User { get; init; } = [];

    /// <summary>One bit a chunk: which of its two bitmap pages counts.</summary>
    public required byte[] SlotBits { get; init; }

    /// <summary>Null when the pages were synced before.</summary>
    public ListedPage[]? Listed { get; init; }

    /// <summary>Says again what the other meta page says, written when the store was closed: no commit was under way.</summary>
    public bool IsSeal { get; init; }

    public static int SlotBitBytes(int pageBytes) => pageBytes / 4;

    public static int ListedPagesMax(int pageBytes) => (pageBytes - ListStartsAfterBits - SlotBitBytes(pageBytes)) / ListEntryBytes;

    /// <summary>Null when the page is not a whole meta page.</summary>
    public static MetaPage? Decode(string path, ReadOnlySpan<byte> page, uint number)
    {
        // A store of a newer Kvasir is to be called that, whatever else has changed in it.
        if (!page.Slice(MagicAt, Magic.Length).SequenceEqual(Magic))
            return null;
        int pageBytes = BinaryPrimitives.ReadInt32LittleEndian(page[PageBytesAt..]);
        if (pageBytes != page.Length)
            return null;
        var layout = new PageLayout(pageBytes, BinaryPrimitives.ReadUInt64LittleEndian(page[IdentityAt..]));
        fixed (byte* start = page)
        {
            PageHeader* header = (PageHeader*)start;
            if (header->Checksum != layout.ChecksumOf(start, pageBytes) || header->Number != number || header->Kind != PageKind.Meta)
                return null;
            uint version = BinaryPrimitives.ReadUInt32LittleEndian(page[VersionAt..]);
            if (version > Version)
                throw new FormatTooNewException(path, version, Version);
            int userBytes = BinaryPrimitives.ReadUInt16LittleEndian(page[UserLengthAt..]);
            ushort listed = BinaryPrimitives.ReadUInt16LittleEndian(page[ListLengthAt..]);
            if (userBytes > UserBytesMax || (listed != SyncedBefore && listed > ListedPagesMax(pageBytes)))
                return null;
            return new MetaPage
            {
                Layout = layout,
                Transaction = header->Transaction,
                IsSeal = header->Count != 0,
                Root = TreeRoot.Read(page[RootAt..]),
                Dead = TreeRoot.Read(page[DeadAt..]),
                Deadlines = TreeRoot.Read(page[DeadlinesAt..]),
                FileVersion = version,
                PageCount = BinaryPrimitives.ReadUInt32LittleEndian(page[PageCountAt..]),
                FreePages = BinaryPrimitives.ReadUInt32LittleEndian(page[FreePagesAt..]),
                User = page.Slice(UserAt, userBytes).ToArray(),
                SlotBits = page.Slice(ListStartsAfterBits, SlotBitBytes(pageBytes)).ToArray(),
                Listed = listed == SyncedBefore ? null : ReadList(page[(ListStartsAfterBits + SlotBitBytes(pageBytes))..], listed),
            };
        }
    }

    public void Encode(Span<byte> page, uint number)
    {
        Check.That(page.Length == Layout.PageBytes && User.Length <= UserBytesMax && (Listed?.Length ?? 0) <= ListedPagesMax(page.Length));
        Check.That(Deadlines.IsEmpty || FileVersion > 1);
        page.Clear();
        Magic.CopyTo(page[MagicAt..]);
        BinaryPrimitives.WriteUInt32LittleEndian(page[VersionAt..], FileVersion);
        BinaryPrimitives.WriteInt32LittleEndian(page[PageBytesAt..], Layout.PageBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(page[IdentityAt..], Layout.Identity);
        Root.Write(page[RootAt..]);
        Dead.Write(page[DeadAt..]);
        Deadlines.Write(page[DeadlinesAt..]);
        BinaryPrimitives.WriteUInt32LittleEndian(page[PageCountAt..], PageCount);
        BinaryPrimitives.WriteUInt32LittleEndian(page[FreePagesAt..], FreePages);
        BinaryPrimitives.WriteUInt16LittleEndian(page[UserLengthAt..], (ushort)User.Length);
        BinaryPrimitives.WriteUInt16LittleEndian(page[ListLengthAt..], Listed is null ? SyncedBefore : (ushort)Listed.Length);
        User.CopyTo(page[UserAt..]);
        SlotBits.CopyTo(page[ListStartsAfterBits..]);
        Span<byte> list = page[(ListStartsAfterBits + SlotBits.Length)..];
        foreach (ListedPage listed in Listed ?? [])
        {
            BinaryPrimitives.WriteUInt32LittleEndian(list, listed.Page);
            BinaryPrimitives.WriteUInt32LittleEndian(list[4..], listed.Checksum);
            list = list[ListEntryBytes..];
        }

        fixed (byte* start = page)
        {
            ((PageHeader*)start)->Kind = PageKind.Meta;
            ((PageHeader*)start)->Count = IsSeal ? (ushort)1 : (ushort)0;
            Layout.Seal(start, number, Transaction, page.Length);
        }
    }

    public bool SlotOf(uint chunk) => (SlotBits[chunk >> 3] & (1 << (int)(chunk & 7))) != 0;

    private static ListedPage[] ReadList(ReadOnlySpan<byte> source, int count)
    {
        var listed = new ListedPage[count];
        for (int i = 0; i < count; i++, source = source[ListEntryBytes..])
            listed[i] = new ListedPage(BinaryPrimitives.ReadUInt32LittleEndian(source), BinaryPrimitives.ReadUInt32LittleEndian(source[4..]));
        return listed;
    }
}
