using System.Buffers.Binary;
using System.Text;

namespace Kvasir.Samples.Tutorial;

/// <summary>
/// A page of the tree while somebody looks at it. A leaf has keys and values; a branch has keys and the pages below them, each with
/// what is at or behind its key (the first key is not looked at: whatever is smaller is there, too).
/// </summary>
internal sealed class TreePage(bool isLeaf)
{
    public const int Bytes = 4096;
    private const int HeaderBytes = 3;

    public bool IsLeaf { get; } = isLeaf;

    public List<string> Keys { get; private set; } = [];

    public List<string> Values { get; private set; } = [];

    public List<long> Children { get; private set; } = [];

    private int Size => HeaderBytes + Enumerable.Range(0, Keys.Count).Sum(i => 2 + Keys[i].Length + (IsLeaf ? 2 + Values[i].Length : 8));

    public bool IsTooLarge => Size > Bytes;

    /// <summary>Where the key is, or the last one before it; -1 when there is none.</summary>
    public int Find(string key)
    {
        int at = Keys.BinarySearch(key, StringComparer.Ordinal);
        return at >= 0 ? at : ~at - 1;
    }

    /// <summary>Keeps the first half, and returns the other.</summary>
    public TreePage Split()
    {
        int half = Keys.Count / 2;
        var right = new TreePage(IsLeaf)
        {
            Keys = Keys[half..],
            Values = IsLeaf ? Values[half..] : [],
            Children = IsLeaf ? [] : Children[half..],
        };
        Keys = Keys[..half];
        if (IsLeaf)
            Values = Values[..half];
        else
            Children = Children[..half];
        return right;
    }

    public void Write(Span<byte> to)
    {
        to[0] = (byte)(IsLeaf ? 1 : 0);
        BinaryPrimitives.WriteUInt16LittleEndian(to[1..], (ushort)Keys.Count);
        int at = HeaderBytes;
        for (int i = 0; i < Keys.Count; i++)
        {
            at = WriteText(to, at, Keys[i]);
            if (IsLeaf)
            {
                at = WriteText(to, at, Values[i]);
            }
            else
            {
                BinaryPrimitives.WriteInt64LittleEndian(to[at..], Children[i]);
                at += 8;
            }
        }
    }

    public static TreePage Read(ReadOnlySpan<byte> from)
    {
        var page = new TreePage(from[0] == 1);
        int count = BinaryPrimitives.ReadUInt16LittleEndian(from[1..]), at = HeaderBytes;
        for (int i = 0; i < count; i++)
        {
            page.Keys.Add(ReadText(from, ref at));
            if (page.IsLeaf)
            {
                page.Values.Add(ReadText(from, ref at));
            }
            else
            {
                page.Children.Add(BinaryPrimitives.ReadInt64LittleEndian(from[at..]));
                at += 8;
            }
        }

        return page;
    }

    private static int WriteText(Span<byte> to, int at, string text)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(to[at..], (ushort)text.Length);
        return at + 2 + Encoding.ASCII.GetBytes(text, to[(at + 2)..]);
    }

    private static string ReadText(ReadOnlySpan<byte> from, ref int at)
    {
        int length = BinaryPrimitives.ReadUInt16LittleEndian(from[at..]);
        string text = Encoding.ASCII.GetString(from.Slice(at + 2, length));
        at += 2 + length;
        return text;
    }
}
