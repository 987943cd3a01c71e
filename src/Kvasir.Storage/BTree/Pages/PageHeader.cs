using System.Runtime.InteropServices;

namespace Kvasir.Storage.BTree.Pages;

/// <summary>What a page is. Numbers are on disk and never change.</summary>
internal enum PageKind : byte
{
    None = 0,
    Meta = 1,
    Bitmap = 2,
    Branch = 3,
    Leaf = 4,
    Overflow = 5,
}

/// <summary>The first bytes of every page, as docs/formats/btree.md has them.</summary>
[StructLayout(LayoutKind.Explicit, Size = Bytes)]
internal struct PageHeader
{
    public const int Bytes = 32;

    /// <summary>CRC-32C of everything after it, to the end of the page, or of the run for an overflow page.</summary>
    [FieldOffset(0)] public uint Checksum;

    [FieldOffset(4)] public uint Number;

    /// <summary>The transaction that wrote the page.</summary>
    [FieldOffset(8)] public ulong Transaction;

    [FieldOffset(16)] public PageKind Kind;

    /// <summary>Of a tree's page: 0 for a leaf, and one more than its children for a branch.</summary>
    [FieldOffset(17)] public byte Level;

    [FieldOffset(18)] public ushort Count;

    /// <summary>Where the cells begin; they fill the page from its end downwards.</summary>
    [FieldOffset(20)] public ushort ContentStart;

    /// <summary>Bytes of deleted cells after <see cref="ContentStart"/>.</summary>
    [FieldOffset(22)] public ushort Garbage;

    /// <summary>Of an overflow page: pages of the whole run. Of a bitmap: its chunk.</summary>
    [FieldOffset(24)] public uint Extent;

    /// <summary>Of an overflow page: bytes of the value.</summary>
    [FieldOffset(28)] public uint ValueBytes;
}
