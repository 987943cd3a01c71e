using Kvasir.Primitives;

namespace Kvasir.Server.Sessions;

/// <summary>
/// Bytes received and not yet executed. The array comes from whoever owns the connection when bytes arrive, and goes back
/// as soon as it is empty, so that an idle connection holds none.
/// </summary>
internal sealed class SessionInput
{
    private int _start;
    private int _end;

    /// <summary>Null while the connection is idle.</summary>
    public byte[]? Array { get; private set; }

    public int Start => _start;

    public int Length => _end - _start;

    public ReadOnlySpan<byte> Bytes => Array.AsSpan(_start, _end - _start);

    /// <summary>Lends an array to receive into.</summary>
    public void Lend(byte[] array)
    {
        Check.That(Array is null);
        Array = array;
        _start = 0;
        _end = 0;
    }

    /// <summary>Takes the array back once everything in it was executed; null when something is left.</summary>
    public byte[]? TakeBack()
    {
        if (_start != _end)
            return null;
        byte[]? array = Array;
        Array = null;
        _start = 0;
        _end = 0;
        return array;
    }

    /// <summary>
    /// Room behind what is there: at least a quarter of the array, or all of a request of <paramref name="wanted"/> bytes.
    /// </summary>
    public Memory<byte> Room(int wanted)
    {
        Check.That(Array is not null);
        int length = _end - _start;
        if (wanted > Array.Length - _start || Array.Length - _end < Array.Length / 4)
        {
            byte[] target = Array;
            if (wanted > Array.Length || Array.Length - length < Array.Length / 4)
                target = GC.AllocateUninitializedArray<byte>(Math.Max(wanted, length + Math.Min(length, 1 << 24) + 1024));
            Array.AsSpan(_start, length).CopyTo(target);
            Array = target;
            _start = 0;
            _end = length;
        }

        return Array.AsMemory(_end);
    }

    public void Received(int count)
    {
        _end += count;
        Check.That(Array is not null && _end <= Array.Length);
    }

    public void Executed(int count)
    {
        _start += count;
        Check.That(_start <= _end);
    }

    public void Clear()
    {
        _start = 0;
        _end = 0;
        Array = null;
    }
}
