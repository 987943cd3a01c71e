using System.Buffers;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Transport;

/// <summary>
/// The arrays that one loop receives into. A connection has one while bytes are in it. Of those that stop inside a request
/// a few keep it, since mostly the rest follows at once; where there are many, what they have sent so far moves to an array
/// of its own size, and thousands that send nothing more take little. One thread.
/// </summary>
internal sealed class ReadArrays
{
    public const int Size = 64 << 10;

    /// <summary>So many are kept when nobody needs them, and so many connections keep one inside a request.</summary>
    public const int KeptMax = 64;

    // What is longer is worth its array.
    private const int RestMax = 16 << 10;
    private const int RestMin = 256;

    private readonly Stack<byte[]> _spare = new();

    /// <summary>Arrays that connections have now.</summary>
    public int Lent { get; private set; }

    /// <summary>Room behind what was received; see <see cref="SessionInput.Room"/>.</summary>
    public Memory<byte> Room(SessionInput input, int wanted)
    {
        if (input.Array is null)
            input.Lend(Take());
        else if (input.Array.Length < Size)
            ArrayPool<byte>.Shared.Return(input.MoveTo(Take(), isLent: true));
        byte[] before = input.Array!;
        bool wasLent = input.IsLent;
        Memory<byte> room = input.Room(wanted);
        if (wasLent && !input.IsLent)
            Return(before);
        return room;
    }

    /// <summary>Behind the commands: takes back what is not needed until more comes.</summary>
    /// <param name="input">Of one connection.</param>
    /// <param name="wanted">Bytes that its unfinished request has at least.</param>
    public void Settle(SessionInput input, int wanted)
    {
        if (input.Array is null)
            return;
        bool isLent = input.IsLent;
        byte[]? array = input.TakeBack();
        if (array is null && input.Length <= RestMax && (isLent ? Lent > KeptMax : input.Array.Length > Size && wanted <= RestMax))
            array = input.MoveTo(ArrayPool<byte>.Shared.Rent(Math.Max(input.Length, RestMin)), isLent: false);
        if (array is null)
            return;
        if (isLent)
            Return(array);
        else if (array.Length < Size)
            ArrayPool<byte>.Shared.Return(array);
    }

    /// <summary>A connection ends whose commands still read from its array.</summary>
    public void Abandon(SessionInput input)
    {
        if (input.IsLent)
            Lent--;
    }

    public byte[] Take()
    {
        Lent++;
        return _spare.TryPop(out byte[]? spare) ? spare : GC.AllocateUninitializedArray<byte>(Size, pinned: true);
    }

    public void Return(byte[] array)
    {
        Lent--;
        if (_spare.Count < KeptMax)
            _spare.Push(array);
    }
}
