using System.Buffers;
using System.Text;

namespace Kvasir.Caching;

/// <summary>An entry's key as the store has it: the prefix of the cache, then the text as UTF-8; on the stack or from the array pool.</summary>
internal ref struct StoredKey : IDisposable
{
    public const int BytesOnStack = 256;

    private byte[]? _rented;

    public StoredKey(ReadOnlySpan<byte> prefix, string key, Span<byte> stack)
    {
        ArgumentNullException.ThrowIfNull(key);
        int most = prefix.Length + Encoding.UTF8.GetMaxByteCount(key.Length);
        Span<byte> bytes = most <= stack.Length ? stack : _rented = ArrayPool<byte>.Shared.Rent(most);
        prefix.CopyTo(bytes);
        Bytes = bytes[..(prefix.Length + Encoding.UTF8.GetBytes(key, bytes[prefix.Length..]))];
    }

    public ReadOnlySpan<byte> Bytes { get; }

    public void Dispose()
    {
        if (_rented is not null)
            ArrayPool<byte>.Shared.Return(_rented);
        _rented = null;
    }
}
