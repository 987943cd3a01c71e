using System.Text;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Shell;

/// <summary>A reply as a tree, for people to look at. Bytes stay bytes: values need not be text.</summary>
internal sealed record RespReply(RespReplyKind Kind, byte[] Bytes, IReadOnlyList<RespReply> Items)
{
    // Deeper than any command answers; a hostile server must not overflow the stack.
    private const int DepthMax = 128;

    public string Text => Encoding.UTF8.GetString(Bytes);

    public bool IsAggregate =>
        Kind is RespReplyKind.Array or RespReplyKind.Set or RespReplyKind.Map or RespReplyKind.Push;

    /// <summary>The value of a map's or a flat array's entry with this name.</summary>
    public RespReply? Field(string name)
    {
        for (int i = 0; i + 1 < Items.Count; i += 2)
        {
            if (Items[i].Text == name)
                return Items[i + 1];
        }

        return null;
    }

    /// <summary>Reads one whole reply, as measured by <see cref="RespReplyReader.Measure"/>.</summary>
    public static RespReply Parse(ReadOnlySpan<byte> bytes)
    {
        var reader = new RespReplyReader(bytes);
        return Read(ref reader, 0);
    }

    private static RespReply Read(ref RespReplyReader reader, int depth)
    {
        if (depth > DepthMax)
            throw new RespFormatException($"a reply nested more than {DepthMax} deep");
        while (true)
        {
            if (!reader.TryRead())
                throw new RespFormatException("a reply that ends too early");
            RespReplyKind kind = reader.Kind;
            byte[] text = reader.Text.ToArray();
            long count = reader.Count;
            var items = new List<RespReply>();
            for (long i = 0; i < count; i++)
                items.Add(Read(ref reader, depth + 1));

            // Attributes are notes beside a reply; nobody asked for them here.
            if (kind != RespReplyKind.Attribute)
                return new RespReply(kind, text, items);
        }
    }
}
