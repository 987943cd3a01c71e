using Kvasir.Primitives;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Replication;

/// <summary>The appends that are on their way to one follower, oldest first: how many, and how many bytes.</summary>
internal struct InflightWindow
{
    private SentAppend[]? _ring;
    private int _head;

    public int Messages { get; private set; }

    public long Bytes { get; private set; }

    public void Add(LogIndex last, long bytes)
    {
        _ring ??= new SentAppend[8];
        if (Messages == _ring.Length)
        {
            var larger = new SentAppend[Messages * 2];
            for (int i = 0; i < Messages; i++)
                larger[i] = _ring[(_head + i) & (_ring.Length - 1)];
            _ring = larger;
            _head = 0;
        }

        _ring[(_head + Messages++) & (_ring.Length - 1)] = new SentAppend(last, bytes);
        Bytes += bytes;
    }

    /// <summary>Everything up to this index has arrived.</summary>
    public void FreeTo(LogIndex match)
    {
        while (Messages > 0 && _ring![_head].Last <= match)
        {
            Bytes -= _ring[_head].Bytes;
            _head = (_head + 1) & (_ring.Length - 1);
            Messages--;
        }

        Check.That(Bytes >= 0 && (Messages > 0 || Bytes == 0));
    }

    public void Clear() => (_head, Messages, Bytes) = (0, 0, 0);

    /// <summary>Gives memory back.</summary>
    public void Trim()
    {
        Clear();
        _ring = null;
    }

    private readonly record struct SentAppend(LogIndex Last, long Bytes);
}
