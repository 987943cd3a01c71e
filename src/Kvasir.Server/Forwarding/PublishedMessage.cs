using Kvasir.Cluster.Transport;
using Kvasir.Primitives;

namespace Kvasir.Server.Forwarding;

/// <summary>What PUBLISH and SPUBLISH on one node tell the others (docs/formats/forwarding.md).</summary>
internal static class PublishedMessage
{
    private const byte OfShardFlag = 1;

    public static void Write(BytesBuffer to, ReadOnlySpan<byte> channel, ReadOnlySpan<byte> message, bool ofShard)
    {
        to.Clear();
        to.Append(Channel.Published);
        to.Append(ofShard ? OfShardFlag : (byte)0);
        to.Advance(Varint.Write(to.GetSpan(Varint.MaxLength32), (ulong)channel.Length));
        to.Append(channel);
        to.Append(message);
    }

    /// <summary>False when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out ReadOnlySpan<byte> channel, out ReadOnlySpan<byte> message, out bool ofShard)
    {
        channel = message = default;
        ofShard = false;
        if (bytes.Length < 3 || bytes[0] != Channel.Published || bytes[1] > OfShardFlag
            || !Varint.TryRead(bytes[2..], out ulong length, out int read) || length > (ulong)(bytes.Length - 2 - read))
            return false;
        ofShard = bytes[1] == OfShardFlag;
        channel = bytes.Slice(2 + read, (int)length);
        message = bytes[(2 + read + (int)length)..];
        return true;
    }
}
