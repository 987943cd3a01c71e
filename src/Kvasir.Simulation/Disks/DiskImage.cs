using System.Runtime.InteropServices;

namespace Kvasir.Simulation.Disks;

/// <summary>
/// The bytes of one file in pages that clones share until one of them writes. A page may be written in place only while
/// its owner is the image's own token; cloning gives both sides new tokens.
/// </summary>
internal sealed class DiskImage
{
    private const int PageBytes = 4096;

    private readonly List<ImagePage?> _pages = [];
    private object _token = new();

    public long Length { get; private set; }

    public DiskImage Clone()
    {
        var clone = new DiskImage { Length = Length };
        clone._pages.AddRange(_pages);
        _token = new object();
        return clone;
    }

    public int Read(Span<byte> destination, long offset)
    {
        int count = (int)Math.Clamp(Length - offset, 0, destination.Length);
        int done = 0;
        while (done < count)
        {
            (int page, int at) = Locate(offset + done);
            int chunk = Math.Min(PageBytes - at, count - done);
            if (_pages[page] is { } found)
                found.Bytes.AsSpan(at, chunk).CopyTo(destination[done..]);
            else
                destination.Slice(done, chunk).Clear();
            done += chunk;
        }

        return count;
    }

    public void Write(ReadOnlySpan<byte> source, long offset)
    {
        Grow(offset + source.Length);
        int done = 0;
        while (done < source.Length)
        {
            (int page, int at) = Locate(offset + done);
            int chunk = Math.Min(PageBytes - at, source.Length - done);
            ReadOnlySpan<byte> bytes = source.Slice(done, chunk);
            if (_pages[page] is not null || bytes.ContainsAnyExcept((byte)0))
                bytes.CopyTo(WritablePage(page).AsSpan(at));
            done += chunk;
        }
    }

    public void SetLength(long length)
    {
        if (length >= Length)
        {
            Grow(length);
            return;
        }

        Length = length;
        (int last, int at) = Locate(length);
        int keep = at == 0 ? last : last + 1;
        CollectionsMarshal.SetCount(_pages, keep);
        if (at != 0 && _pages[last] is not null)
            WritablePage(last).AsSpan(at).Clear();
    }

    private static (int ImagePage, int At) Locate(long offset) => ((int)(offset / PageBytes), (int)(offset % PageBytes));

    private void Grow(long length)
    {
        if (length <= Length)
            return;
        Length = length;
        while ((long)_pages.Count * PageBytes < length)
            _pages.Add(null);
    }

    private byte[] WritablePage(int index)
    {
        ImagePage? page = _pages[index];
        if (page?.Owner == _token)
            return page.Bytes;
        var copy = new ImagePage(new byte[PageBytes], _token);
        page?.Bytes.CopyTo(copy.Bytes, 0);
        _pages[index] = copy;
        return copy.Bytes;
    }

    private sealed record ImagePage(byte[] Bytes, object Owner);
}
