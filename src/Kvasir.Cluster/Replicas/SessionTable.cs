using System.Buffers.Binary;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Replicas;

/// <summary>What became of a write that came before, as far as a log tells.</summary>
public enum WriteFate : byte
{
    /// <summary>It is not in the log, and was not before.</summary>
    NotApplied = 0,

    /// <summary>It is in the log, and this was its reply.</summary>
    Applied = 1,

    /// <summary>It is in the log; its reply was too long to be kept.</summary>
    AppliedWithoutReply = 2,

    /// <summary>It may have been in what is no longer remembered.</summary>
    Unknown = 3,
}

/// <summary>
/// Which writes of other nodes' clients are in the last entries of a replica's log, and what they were answered: what those
/// entries say of themselves (<see cref="WriteNote"/>), in a bounded space.
/// <para>
/// <b>What it knows it knows for certain.</b> Everything behind <see cref="Floor"/>, and nothing up to there: who asks says up to where
/// the log was committed when the write was sent for the first time, so the write is behind that, and the answer is certain
/// where the floor is not. The table is not part of the replicated state: only a leader asks it, before it proposes effects,
/// and followers decide nothing by it. So floors may differ from replica to replica, and a replica that begins anew, from its
/// files or from a snapshot, begins with an empty table and a floor that says so.
/// </para>
/// Inside the mailbox. Allocates nothing once it is as large as it gets.
/// </summary>
public sealed class SessionTable
{
    public const int DefaultBytesMax = 256 << 10;
    private const int BytesMin = 1 << 10;
    private const int HeadBytes = 12;

    // Position (8), length of the note (4), note; again.
    private readonly int _bytesMax;
    private byte[] _bytes = [];
    private int _length;
    private LogPosition _last;

    public SessionTable(LogPosition floor, int bytesMax = DefaultBytesMax)
    {
        Floor = _last = floor;
        _bytesMax = bytesMax;
    }

    /// <summary>All writes behind this position are known, and none up to it.</summary>
    public LogPosition Floor { get; private set; }

    /// <summary>An entry has come that says this; the oldest are forgotten where there is no room.</summary>
    public void Add(LogPosition position, ReadOnlySpan<byte> note)
    {
        Check.That(position >= _last, $"an entry at {position} is remembered behind {_last}");
        int bytes = HeadBytes + note.Length;
        if (bytes > _bytesMax / 2)
            Forget(position);
        else
            MakeRoom(bytes);
        _last = position;
        if (position <= Floor)
            return;
        Span<byte> at = _bytes.AsSpan(_length);
        BinaryPrimitives.WriteUInt64LittleEndian(at, position.Value);
        BinaryPrimitives.WriteInt32LittleEndian(at[8..], note.Length);
        note.CopyTo(at[HeadBytes..]);
        _length += bytes;
    }

    /// <summary>Nothing is known any more of what is up to here, and nothing is behind it.</summary>
    public void Forget(LogPosition upTo)
    {
        _length = 0;
        _last = upTo;
        if (upTo > Floor)
            Floor = upTo;
    }

    /// <summary>Gives back memory: only the newest is kept.</summary>
    public void Trim()
    {
        if (_bytes.Length <= BytesMin)
            return;
        Evict(BytesMin);
        Array.Resize(ref _bytes, BytesMin);
    }

    /// <summary>What is behind this position is not in the log any more.</summary>
    public void TruncateAfter(LogPosition last)
    {
        int at = 0;
        while (at < _length && PositionAt(at) <= last)
            at = NextOf(at);
        _length = at;
        _last = last;
    }

    /// <summary>Whether a session may begin: none of its writes is in the log, and none was.</summary>
    /// <param name="session">Which.</param>
    /// <param name="known">Up to here the log was committed before its first write was sent.</param>
    public bool MayBegin(ulong session, LogPosition known)
    {
        if (known < Floor)
            return false;
        for (int at = 0; at < _length; at = NextOf(at))
        {
            if (WriteNote.SessionOf(NoteAt(at)) == session)
                return false;
        }

        return true;
    }

    /// <param name="id">Of the write.</param>
    /// <param name="known">Up to here the log was committed before it was sent for the first time.</param>
    /// <param name="reply">What it was answered; lent until the next change.</param>
    /// <param name="position">Where it is in the log.</param>
    public WriteFate Find(WriteId id, LogPosition known, out ReadOnlySpan<byte> reply, out LogPosition position)
    {
        for (int at = 0; at < _length; at = NextOf(at))
        {
            ReadOnlySpan<byte> note = NoteAt(at);
            if (WriteNote.SessionOf(note) != id.Session || !WriteNote.TryFind(note, id.Sequence, out reply, out bool isKept))
                continue;
            position = PositionAt(at);
            return isKept ? WriteFate.Applied : WriteFate.AppliedWithoutReply;
        }

        reply = default;
        position = LogPosition.Zero;
        return known < Floor ? WriteFate.Unknown : WriteFate.NotApplied;
    }

    private void MakeRoom(int bytes)
    {
        if (_bytes.Length - _length >= bytes)
            return;
        if (_bytes.Length < _bytesMax)
        {
            int size = Math.Max(_bytes.Length, BytesMin);
            while (size - _length < bytes && size < _bytesMax)
                size *= 2;
            Array.Resize(ref _bytes, size);
            if (_bytes.Length - _length >= bytes)
                return;
        }

        // The older half at once: what stays is moved seldom.
        Evict(Math.Min(_length / 2, _bytes.Length - bytes));
    }

    /// <summary>The oldest go until this is left. Of one entry either all notes are known or none.</summary>
    private void Evict(int left)
    {
        int kept = 0;
        while (kept < _length && (_length - kept > left || PositionAt(kept) == Floor))
        {
            Floor = PositionAt(kept);
            kept = NextOf(kept);
        }

        _bytes.AsSpan(kept, _length - kept).CopyTo(_bytes);
        _length -= kept;
    }

    private LogPosition PositionAt(int at) => new(BinaryPrimitives.ReadUInt64LittleEndian(_bytes.AsSpan(at)));

    private ReadOnlySpan<byte> NoteAt(int at) => _bytes.AsSpan(at + HeadBytes, BinaryPrimitives.ReadInt32LittleEndian(_bytes.AsSpan(at + 8)));

    private int NextOf(int at) => at + HeadBytes + BinaryPrimitives.ReadInt32LittleEndian(_bytes.AsSpan(at + 8));
}
