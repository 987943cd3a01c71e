using System.Text;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Directory;

/// <summary>Fields one after another: numbers in LEB128, texts as their length and UTF-8.</summary>
internal readonly ref struct FieldWriter(BytesBuffer bytes)
{
    public void Number(ulong value) =>
        bytes.Advance(Varint.Write(bytes.GetSpan(Varint.MaxLength64), value));

    public void Text(string text)
    {
        int length = Encoding.UTF8.GetByteCount(text);
        Number((ulong)length);
        bytes.Advance(Encoding.UTF8.GetBytes(text, bytes.GetSpan(length)));
    }
}
