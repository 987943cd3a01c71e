using System.Runtime.CompilerServices;

namespace Kvasir.Primitives;

/// <summary>
/// A growable run of bytes that its owner reuses, so that steady state allocates nothing. Not thread-safe.
/// Spans handed out are valid until the next call that may grow or clear the buffer.
/// </summary>
public sealed class BytesBuffer
{
    private byte[] _bytes;
    private int _length;

    public BytesBuffer(int capacity = 256) => _bytes = new byte[Math.Max(capacity, 16)];

    /// <summary>Bytes written so far.</summary>
    public int Length => _length;

    public int Capacity => _bytes.Length;

    public Span<byte> WrittenSpan => _bytes.AsSpan(0, _length);

    public ReadOnlyMemory<byte> WrittenMemory => _bytes.AsMemory(0, _length);

    public void Clear() => _length = 0;

    /// <summary>Forgets the content and gives back memory above <paramref name="keepCapacity"/> bytes.</summary>
    public void ClearAndTrim(int keepCapacity)
    {
        _length = 0;
        if (_bytes.Length > keepCapacity)
            _bytes = new byte[Math.Max(keepCapacity, 16)];
    }

    /// <summary>Cuts the content to <paramref name="length"/> bytes.</summary>
    public void Truncate(int length)
    {
        Check.That((uint)length <= (uint)_length);
        _length = length;
    }

    /// <summary>Room for at least <paramref name="size"/> more bytes; call <see cref="Advance"/> after writing into it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Span<byte> GetSpan(int size)
    {
        if (_bytes.Length - _length < size)
            Grow(size);
        return _bytes.AsSpan(_length);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Advance(int count)
    {
        Check.That((uint)count <= (uint)(_bytes.Length - _length));
        _length += count;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Append(ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(GetSpan(bytes.Length));
        _length += bytes.Length;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Append(byte value)
    {
        GetSpan(1)[0] = value;
        _length++;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Grow(int size)
    {
        long wanted = Math.Max((long)_bytes.Length * 2, (long)_length + size);
        if (wanted > Array.MaxLength)
            wanted = Math.Max((long)_length + size, Array.MaxLength);
        Check.That(wanted <= Array.MaxLength, $"a buffer of {wanted} bytes");
        Array.Resize(ref _bytes, (int)wanted);
    }
}
