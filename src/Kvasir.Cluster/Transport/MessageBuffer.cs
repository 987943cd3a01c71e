using System.Buffers;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Transport;

/// <summary>
/// The bytes of one message on its way, from a pool. It has one owner at any time, who disposes of it or hands it on: no
/// object is ever seen by two nodes, in a simulated cluster no more than in a real one.
/// </summary>
public sealed class MessageBuffer : IDisposable
{
    private byte[]? _bytes;

    private MessageBuffer(byte[] bytes, int length)
    {
        _bytes = bytes;
        Length = length;
    }

    public int Length { get; }

    public Span<byte> Bytes
    {
        get
        {
            Check.That(_bytes is not null, $"a message of {Length} bytes is used by somebody who gave it away");
            return _bytes.AsSpan(0, Length);
        }
    }

    /// <summary>The content is undefined until it is written.</summary>
    public static MessageBuffer Rent(int length) => new(ArrayPool<byte>.Shared.Rent(length), length);

    public static MessageBuffer Copy(ReadOnlySpan<byte> bytes)
    {
        MessageBuffer buffer = Rent(bytes.Length);
        bytes.CopyTo(buffer.Bytes);
        return buffer;
    }

    public void Dispose()
    {
        if (_bytes is null)
            return;
        ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = null;
    }
}
