using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;

namespace Kvasir.Samples.Tutorial;

/// <summary>
/// Step 4: a B+tree (Bayer and McCreight 1972) whose pages are never written over. A write copies the leaf and every page above it to
/// free places, and then one of two first pages, in turn, names the new root: who reads sees the tree before or the tree after.
/// Without deletion, and for short keys and values.
/// </summary>
/// <remarks>For a crash to be harmless the pages must be on the disk before the first page is: a sync before it, and one behind.</remarks>
internal sealed class CopyOnWriteTree : ITutorialStore
{
    private const int RootsKept = 2;

    private readonly SafeFileHandle _file;
    private readonly Stack<long> _free = new();
    private readonly List<long> _freed = [];
    private readonly byte[] _page = new byte[TreePage.Bytes];
    private long _pages = RootsKept;
    private long _root;
    private long _commits;

    public CopyOnWriteTree(string folder)
    {
        _file = File.OpenHandle(Path.Combine(folder, "tree"), FileMode.CreateNew, FileAccess.ReadWrite);
        _root = Write(new TreePage(isLeaf: true));
    }

    public long DiskBytes => _pages * TreePage.Bytes;

    public long KeysInMemory => 0;

    public void Set(string key, string value)
    {
        (long left, string? middle, long right) = Set(_root, key, value);
        _root = left;
        if (middle is not null)
        {
            var root = new TreePage(isLeaf: false);
            root.Keys.AddRange(["", middle]);
            root.Children.AddRange([left, right]);
            _root = Write(root);
        }

        Commit();
    }

    public string? Get(string key)
    {
        TreePage page = Read(_root);
        while (!page.IsLeaf)
            page = Read(page.Children[Math.Max(page.Find(key), 0)]);
        int at = page.Find(key);
        return at >= 0 && string.Equals(page.Keys[at], key, StringComparison.Ordinal) ? page.Values[at] : null;
    }

    public void Dispose() => _file.Dispose();

    /// <summary>The copy of the page with the key in it; when it had to be split, the first key of the other half and its page.</summary>
    private (long Page, string? Middle, long Other) Set(long at, string key, string value)
    {
        TreePage page = Read(at);
        _freed.Add(at);
        int place = page.Find(key);
        if (!page.IsLeaf)
        {
            place = Math.Max(place, 0);
            (page.Children[place], string? middle, long other) = Set(page.Children[place], key, value);
            if (middle is not null)
            {
                page.Keys.Insert(place + 1, middle);
                page.Children.Insert(place + 1, other);
            }
        }
        else if (place >= 0 && string.Equals(page.Keys[place], key, StringComparison.Ordinal))
        {
            page.Values[place] = value;
        }
        else
        {
            page.Keys.Insert(place + 1, key);
            page.Values.Insert(place + 1, value);
        }

        if (!page.IsTooLarge)
            return (Write(page), null, 0);
        TreePage right = page.Split();
        return (Write(page), right.Keys[0], Write(right));
    }

    private void Commit()
    {
        BinaryPrimitives.WriteInt64LittleEndian(_page, ++_commits);
        BinaryPrimitives.WriteInt64LittleEndian(_page.AsSpan(8), _root);
        RandomAccess.Write(_file, _page, _commits % RootsKept * TreePage.Bytes);

        // The tree before this one does not matter any more: nobody reads while somebody writes, here.
        foreach (long page in _freed)
            _free.Push(page);
        _freed.Clear();
    }

    private long Write(TreePage page)
    {
        long at = _free.TryPop(out long free) ? free : _pages++;
        page.Write(_page);
        RandomAccess.Write(_file, _page, at * TreePage.Bytes);
        return at;
    }

    private TreePage Read(long at)
    {
        RandomAccess.Read(_file, _page, at * TreePage.Bytes);
        return TreePage.Read(_page);
    }
}
