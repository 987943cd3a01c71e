using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kvasir.Primitives;
using Kvasir.Storage.BTree.Pages;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.BTree.Transactions;

/// <summary>
/// Where committed pages are read. With a map: from there, after the first read of a page, which checks it and goes through the file, so that an error
/// of the disk is an exception; but for nodes that this process has written itself, which the system hardly ever has to bring: they are checked where
/// they lie. Without: from a cache of pages that were read so. Any number of threads.
/// </summary>
internal sealed unsafe class PageSource : IDisposable
{
    // Of files without a map: each error is an exception there.
    private static readonly long* s_neverBroken = (long*)NativeMemory.AllocZeroed(sizeof(long));

    private readonly IFile _file;
    private readonly PageLayout _layout;
    private readonly IFileMap? _map;
    private readonly ulong[] _verified;

    // One bit a page of the map: this process has written it.
    private readonly ulong[] _written;
    private readonly PageCache? _cache;

    private PageSource(IFile file, PageLayout layout, IFileMap? map, PageCache? cache)
    {
        _file = file;
        _layout = layout;
        _map = map;
        _cache = cache;
        Start = map is null ? null : map.Start;
        Pages = map is null ? uint.MaxValue : (uint)Math.Min(map.Length >> layout.Shift, uint.MaxValue);
        _verified = map is null ? [] : GC.AllocateArray<ulong>((int)((Pages + 63L) / 64), pinned: true);
        _written = new ulong[_verified.Length];
        Verified = map is null ? null : (ulong*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_verified));
        Broken = map is null ? s_neverBroken : map.Broken;
    }

    /// <summary>The map; null without one.</summary>
    public byte* Start { get; }

    /// <summary>One bit a page of the map: it was read and is as it was written.</summary>
    public ulong* Verified { get; }

    /// <summary>See <see cref="IFileMap.Broken"/>.</summary>
    public long* Broken { get; }

    public bool IsBroken => Volatile.Read(ref *Broken) != 0;

    /// <summary>Pages that can be read here.</summary>
    public uint Pages { get; }

    public static PageSource Mapped(IFile file, PageLayout layout, IFileMap map) => new(file, layout, map, cache: null);

    public static PageSource Positional(IFile file, PageLayout layout, PageCache cache) => new(file, layout, map: null, cache);

    /// <summary>
    /// The page from the map once it is found to be right. Of an overflow page, its whole run.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public byte* Verify(uint number, ulong newest)
    {
        if (!IsRightInMap(number, newest))
            VerifyInFile(number, newest);
        Interlocked.Or(ref Verified[number >> 6], 1UL << (int)(number & 63));
        return Start + _layout.OffsetOf(number);
    }

    /// <summary>
    /// Of a node that this process has written. Is it not, or could it not be read, the file says what is so: a page that the system could not bring
    /// is all zeros here, which is not right.
    /// </summary>
    private bool IsRightInMap(uint number, ulong newest)
    {
        Check.That(number < Pages);
        if ((Volatile.Read(ref _written[number >> 6]) & (1UL << (int)(number & 63))) == 0)
            return false;
        byte* page = Start + _layout.OffsetOf(number);
        return ((PageHeader*)page)->Kind is PageKind.Leaf or PageKind.Branch && _layout.FaultOf(page, number, newest) is null;
    }

    private void VerifyInFile(uint number, ulong newest)
    {
        byte[] page = ArrayPool<byte>.Shared.Rent(_layout.PageBytes);
        try
        {
            long bytes;
            fixed (byte* start = page)
            {
                ReadPage(number, newest, start);
                PageHeader* header = (PageHeader*)start;
                bytes = header->Kind == PageKind.Overflow ? (long)header->Extent << _layout.Shift : _layout.PageBytes;
                Check.That(number + (bytes >> _layout.Shift) <= Pages);
            }

            if (bytes > _layout.PageBytes)
                VerifyRun(number, bytes);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(page);
        }
    }

    /// <summary>The page, or an overflow page's whole run, from the cache; pinned for the caller.</summary>
    public CachedPage Load(uint number, ulong newest)
    {
        if (_cache!.Find(number) is { } cached)
            return cached;
        CachedPage page = _cache.NewPage(number);
        ReadPage(number, newest, page.Start);
        PageHeader* header = (PageHeader*)page.Start;
        if (header->Kind == PageKind.Overflow && header->Extent > 1)
        {
            byte[] memory = GC.AllocateUninitializedArray<byte>(checked((int)((long)header->Extent << _layout.Shift)), pinned: true);
            var run = new CachedPage(number, memory);
            ReadWhole(number, run.Bytes);
            CheckRun(number, run.Start, run.Bytes.Length);
            _cache.GiveBack(page);
            page = run;
        }

        _cache.Add(page);
        return page;
    }

    /// <summary>The page, if the cache has it, pinned for the caller; never with a map.</summary>
    public CachedPage? Cached(uint number) => _cache?.Find(number, countsMiss: false);

    /// <summary>
    /// Reads leaves that lie side by side into the cache, with one operation. Nobody has asked for them yet: what cannot be read, or is not as it
    /// was written, is left to whoever does.
    /// </summary>
    public void ReadAhead(uint first, int count, ulong newest)
    {
        int pageBytes = _layout.PageBytes;
        byte[] pages = ArrayPool<byte>.Shared.Rent(count * pageBytes);
        try
        {
            int read = _file.Read(pages.AsSpan(0, count * pageBytes), _layout.OffsetOf(first));
            for (int i = 0; i < count && (i + 1) * pageBytes <= read; i++)
            {
                CachedPage page = _cache!.NewPage(first + (uint)i);
                pages.AsSpan(i * pageBytes, pageBytes).CopyTo(page.Bytes);
                if (((PageHeader*)page.Start)->Kind == PageKind.Leaf && _layout.FaultOf(page.Start, page.Number, newest) is null && _cache.Add(page))
                    page.Unpin();
                else
                    _cache.GiveBack(page);
            }
        }
        catch (StorageException)
        {
            // Told to whoever asks for the page.
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(pages);
        }
    }

    /// <summary>A page was written anew by this process: what is known of it no longer holds.</summary>
    public void Forget(uint number)
    {
        Check.That(number < Pages);
        if (_map is null)
        {
            _cache!.Remove(number);
            return;
        }

        Interlocked.Or(ref _written[number >> 6], 1UL << (int)(number & 63));
        Interlocked.And(ref Verified[number >> 6], ~(1UL << (int)(number & 63)));
    }

    public void Dispose() => _map?.Dispose();

    private void ReadPage(uint number, ulong newest, byte* target)
    {
        ReadWhole(number, new Span<byte>(target, _layout.PageBytes));
        if (_layout.FaultOf(target, number, newest) is { } fault)
            throw _layout.Damage(_file.Path, number, fault);
        if (((PageHeader*)target)->Kind == PageKind.Overflow && ((PageHeader*)target)->Extent == 1)
            CheckRun(number, target, _layout.PageBytes);
    }

    private void VerifyRun(uint number, long bytes)
    {
        // Values are as long as an array can be, and nobody waits for two of them at once.
        byte[] run = ArrayPool<byte>.Shared.Rent((int)bytes);
        try
        {
            ReadWhole(number, run.AsSpan(0, (int)bytes));
            fixed (byte* start = run)
                CheckRun(number, start, bytes);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(run);
        }
    }

    private void CheckRun(uint number, byte* start, long bytes)
    {
        if (((PageHeader*)start)->Checksum != _layout.ChecksumOf(start, bytes))
            throw _layout.Damage(_file.Path, number, "the checksum of an overflow run does not match");
    }

    private void ReadWhole(uint number, Span<byte> target)
    {
        if (_file.Read(target, _layout.OffsetOf(number)) != target.Length)
            throw _layout.Damage(_file.Path, number, "the file ends before the page does");
    }
}
