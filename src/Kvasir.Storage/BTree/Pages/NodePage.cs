using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Kvasir.Primitives;

namespace Kvasir.Storage.BTree.Pages;

/// <summary>What an entry of a leaf is. Numbers are on disk and never change.</summary>
internal enum EntryKind
{
    Value = 0,

    /// <summary>The value lies in a run of overflow pages; the cell says where.</summary>
    Overflow = 1,

    /// <summary>The root of a nested bucket.</summary>
    Bucket = 2,

    /// <summary>A value, here or in a run, that goes at a time: <see cref="Deadline"/> says when. From version 2 of the file on.</summary>
    Expiring = 3,
}

/// <summary>
/// Leaf and branch pages: slots of two bytes after the header, in key order, each the offset of a cell. A leaf's cell is key
/// length and kind (2 bytes), value length (2), key, value; a branch's is child (4), key length (2), key. The key of a
/// branch's first cell counts as less than everything and is not looked at.
/// </summary>
internal static unsafe class NodePage
{
    public const int LeafCellHeader = 4;
    public const int BranchCellHeader = 6;
    public const int SlotBytes = 2;

    private const int KeyMask = 0x3FFF;
    private const int KindShift = 14;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static PageHeader* Header(byte* page) => (PageHeader*)page;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort Slot(byte* page, int index) => ((ushort*)(page + PageHeader.Bytes))[index];

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Cell(byte* page, int index) => page + Slot(page, index);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint Child(byte* page, int index) => *(uint*)Cell(page, index);

    public static void SetChild(byte* page, int index, uint child) => *(uint*)Cell(page, index) = child;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int LeafKeyBytes(byte* cell) => *(ushort*)cell & KeyMask;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static EntryKind Kind(byte* cell) => (EntryKind)(*(ushort*)cell >> KindShift);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int ValueBytes(byte* cell) => *(ushort*)(cell + 2);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ReadOnlySpan<byte> LeafKey(byte* cell) => new(cell + LeafCellHeader, LeafKeyBytes(cell));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* ValueStart(byte* cell) => cell + LeafCellHeader + LeafKeyBytes(cell);

    /// <summary>Where the value is, if it lies in a run: number of its first page, and its length. Null for all other entries.</summary>
    public static uint* Run(byte* cell) => Kind(cell) switch
    {
        EntryKind.Overflow => (uint*)ValueStart(cell),
        EntryKind.Expiring when Deadline.IsOfRun(ValueStart(cell)) => (uint*)(ValueStart(cell) + Deadline.HeaderBytes),
        _ => null,
    };

    public static int BranchKeyBytes(byte* cell) => *(ushort*)(cell + 4);

    public static ReadOnlySpan<byte> BranchKey(byte* cell) => new(cell + BranchCellHeader, BranchKeyBytes(cell));

    public static ReadOnlySpan<byte> Key(byte* page, int index)
    {
        byte* cell = Cell(page, index);
        return Header(page)->Level == 0 ? LeafKey(cell) : BranchKey(cell);
    }

    public static int CellBytes(byte* page, int index)
    {
        byte* cell = Cell(page, index);
        return Header(page)->Level == 0 ? LeafCellHeader + LeafKeyBytes(cell) + ValueBytes(cell) : BranchCellHeader + BranchKeyBytes(cell);
    }

    public static void WriteLeafCell(byte* cell, ReadOnlySpan<byte> key, EntryKind kind, ReadOnlySpan<byte> value)
    {
        *(ushort*)cell = (ushort)(key.Length | ((int)kind << KindShift));
        *(ushort*)(cell + 2) = (ushort)value.Length;
        key.CopyTo(new Span<byte>(cell + LeafCellHeader, key.Length));
        value.CopyTo(new Span<byte>(cell + LeafCellHeader + key.Length, value.Length));
    }

    public static void WriteBranchCell(byte* cell, uint child, ReadOnlySpan<byte> key)
    {
        *(uint*)cell = child;
        *(ushort*)(cell + 4) = (ushort)key.Length;
        key.CopyTo(new Span<byte>(cell + BranchCellHeader, key.Length));
    }

    /// <summary>Makes an empty page; whoever writes it out fills in number, transaction and checksum.</summary>
    public static void Clear(byte* page, int pageBytes, int level)
    {
        PageHeader* header = Header(page);
        *header = default;
        header->Kind = level == 0 ? PageKind.Leaf : PageKind.Branch;
        header->Level = (byte)level;
        header->ContentStart = (ushort)pageBytes;
    }

    /// <summary>Bytes of slots and cells that count.</summary>
    public static int Used(byte* page, int pageBytes)
    {
        PageHeader* header = Header(page);
        return (header->Count * SlotBytes) + pageBytes - header->ContentStart - header->Garbage;
    }

    public static int ContiguousFree(byte* page)
    {
        PageHeader* header = Header(page);
        return header->ContentStart - PageHeader.Bytes - (header->Count * SlotBytes);
    }

    /// <summary>Room for a cell of so many bytes at an index. The caller has made sure that it is there in one piece.</summary>
    public static byte* Insert(byte* page, int index, int bytes)
    {
        PageHeader* header = Header(page);
        Check.That(ContiguousFree(page) >= bytes + SlotBytes && index <= header->Count);
        ushort* slots = (ushort*)(page + PageHeader.Bytes);
        new ReadOnlySpan<ushort>(slots + index, header->Count - index).CopyTo(new Span<ushort>(slots + index + 1, header->Count - index));
        header->ContentStart -= (ushort)bytes;
        header->Count++;
        slots[index] = header->ContentStart;
        return page + header->ContentStart;
    }

    public static void Remove(byte* page, int index, int count = 1)
    {
        PageHeader* header = Header(page);
        Check.That(index + count <= header->Count);
        for (int i = index; i < index + count; i++)
        {
            int bytes = CellBytes(page, i);
            if (Slot(page, i) == header->ContentStart)
                header->ContentStart += (ushort)bytes;
            else
                header->Garbage += (ushort)bytes;
        }

        ushort* slots = (ushort*)(page + PageHeader.Bytes);
        int after = header->Count - index - count;
        new ReadOnlySpan<ushort>(slots + index + count, after).CopyTo(new Span<ushort>(slots + index, after));
        header->Count -= (ushort)count;
    }

    /// <summary>Moves the cells together; <paramref name="scratch"/> has room for a page.</summary>
    public static void Compact(byte* page, int pageBytes, byte* scratch)
    {
        new ReadOnlySpan<byte>(page, pageBytes).CopyTo(new Span<byte>(scratch, pageBytes));
        PageHeader* header = Header(page);
        int at = pageBytes;
        for (int i = 0; i < header->Count; i++)
        {
            int bytes = CellBytes(scratch, i);
            at -= bytes;
            new ReadOnlySpan<byte>(Cell(scratch, i), bytes).CopyTo(new Span<byte>(page + at, bytes));
            ((ushort*)(page + PageHeader.Bytes))[i] = (ushort)at;
        }

        header->ContentStart = (ushort)at;
        header->Garbage = 0;
    }

    /// <summary>The first entry of a leaf that is not less than the key.</summary>
    public static int LowerBound(byte* page, byte* key, int keyBytes, out bool found)
    {
        ushort* slots = (ushort*)(page + PageHeader.Bytes);
        int low = 0;
        int high = Header(page)->Count;
        ulong head = Head(key, keyBytes);
        while (low < high)
        {
            int middle = (int)((uint)(low + high) >> 1);
            byte* cell = page + slots[middle];
            int order = Compare(cell + LeafCellHeader, LeafKeyBytes(cell), key, keyBytes, head);
            if (order == 0)
            {
                found = true;
                return middle;
            }

            if (order < 0)
                low = middle + 1;
            else
                high = middle;
        }

        found = false;
        return low;
    }

    /// <summary>The child of a branch whose part of the keys a key lies in.</summary>
    public static int ChildIndex(byte* page, byte* key, int keyBytes)
    {
        ushort* slots = (ushort*)(page + PageHeader.Bytes);
        int low = 1;
        int high = Header(page)->Count;
        ulong head = Head(key, keyBytes);
        while (low < high)
        {
            int middle = (int)((uint)(low + high) >> 1);
            byte* cell = page + slots[middle];
            if (Compare(cell + BranchCellHeader, *(ushort*)(cell + 4), key, keyBytes, head) <= 0)
                low = middle + 1;
            else
                high = middle;
        }

        return low - 1;
    }

    /// <summary>The first eight bytes as a number that orders as they do.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Head(byte* key, int keyBytes) => keyBytes >= 8 ? BinaryPrimitives.ReverseEndianness(*(ulong*)key) : 0;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Compare(byte* left, int leftBytes, byte* right, int rightBytes, ulong rightHead)
    {
        if (leftBytes >= 8 && rightBytes >= 8)
        {
            ulong leftHead = BinaryPrimitives.ReverseEndianness(*(ulong*)left);
            if (leftHead != rightHead)
                return leftHead < rightHead ? -1 : 1;
            return CompareRest(left + 8, leftBytes - 8, right + 8, rightBytes - 8);
        }

        return CompareRest(left, leftBytes, right, rightBytes);
    }

    private static int CompareRest(byte* left, int leftBytes, byte* right, int rightBytes)
    {
        int common = Math.Min(leftBytes, rightBytes);
        int at = 0;
        for (; at + 8 <= common; at += 8)
        {
            ulong x = *(ulong*)(left + at);
            ulong y = *(ulong*)(right + at);
            if (x != y)
                return BinaryPrimitives.ReverseEndianness(x) < BinaryPrimitives.ReverseEndianness(y) ? -1 : 1;
        }

        for (; at < common; at++)
        {
            int difference = left[at] - right[at];
            if (difference != 0)
                return difference;
        }

        return leftBytes - rightBytes;
    }
}
