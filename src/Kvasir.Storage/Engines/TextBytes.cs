using System.Buffers;
using System.Runtime.CompilerServices;
using System.Text;

namespace Kvasir.Storage.Engines;

/// <summary>A key or a value that a program gives as text: its UTF-8, in an array of the pool.</summary>
internal ref struct TextBytes : IDisposable
{
    private byte[]? _rented;

    public TextBytes(string text, [CallerArgumentExpression(nameof(text))] string? name = null)
    {
        ArgumentNullException.ThrowIfNull(text, name);
        _rented = ArrayPool<byte>.Shared.Rent(Encoding.UTF8.GetMaxByteCount(text.Length));
        Span = _rented.AsSpan(0, Encoding.UTF8.GetBytes(text, _rented));
    }

    public ReadOnlySpan<byte> Span { get; }

    public void Dispose()
    {
        if (_rented is not null)
            ArrayPool<byte>.Shared.Return(_rented);
        _rented = null;
    }
}
