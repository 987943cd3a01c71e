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

    /// <summary>All bytes that ever came.</summary>
    public long ReceivedBytes { get; private set; }

    /// <summary>Where in all of them the next command begins.</summary>
    public long Position => ReceivedBytes - Length;

    /// <summary>Null while the connection is idle.</summary>
    public byte[]? Array { get; private set; }

    public int Start => _start;

    public int Length => _end - _start;

    public ReadOnlySpan<byte> Bytes => Array.AsSpan(_start, _end - _start);

    /// <summary>The array is the owner's, and serves another client next.</summary>
    public bool IsLent { get; private set; }

    /// <summary>What the client takes: of an array that is lent, only what is in it.</summary>
    public int MemoryBytes => IsLent ? Length : Array?.Length ?? 0;

    /// <summary>Lends an array to receive into, or gives one for as long as bytes are in it.</summary>
    public void Lend(byte[] array, bool isLent = true)
    {
        Check.That(Array is null);
        Array = array;
        IsLent = isLent;
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
        IsLent = false;
        _start = 0;
        _end = 0;
        return array;
    }

    /// <summary>Goes on in another array, its own or a lent one; gives back the one before.</summary>
    public byte[] MoveTo(byte[] array, bool isLent)
    {
        Check.That(Array is not null && array.Length >= Length);
        byte[] before = Array;
        Bytes.CopyTo(array);
        _end = Length;
        _start = 0;
        Array = array;
        IsLent = isLent;
        return before;
    }

    /// <summary>
    /// Room behind what is there: the rest of a request of <paramref name="wanted"/> bytes, or, where more than that is there
    /// already, at least a quarter of the array.
    /// </summary>
    public Memory<byte> Room(int wanted)
    {
        Check.That(Array is not null);
        int length = _end - _start;
        bool isFull = Array.Length - _end < Array.Length / 4;
        if (wanted > length && wanted <= Array.Length)
        {
            // An array that was made for it is as large as it need be.
            if (_start != 0 && (isFull || wanted > Array.Length - _start))
                MoveTo(Array, IsLent);
        }
        else if (wanted > Array.Length || Array.Length - length < Array.Length / 4)
        {
            MoveTo(GC.AllocateUninitializedArray<byte>(Math.Max(wanted, length + Math.Min(length, 1 << 24) + 1024)), isLent: false);
        }
        else if (isFull)
        {
            MoveTo(Array, IsLent);
        }

        return Array.AsMemory(_end);
    }

    public void Received(int count)
    {
        _end += count;
        ReceivedBytes += count;
        Check.That(Array is not null && _end <= Array.Length);
    }

    public void Executed(int count)
    {
        _start += count;
        Check.That(_start <= _end);
    }
}
