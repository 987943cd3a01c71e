using System.Buffers.Binary;
using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Keys;

namespace Kvasir.Storage.Lsm.SSTables;

/// <summary>
/// Lays out one data block: entries whose keys share a prefix with the one before, except at restart points, whose
/// offsets follow the entries. Keys come in iterator order; the writer checks that.
/// </summary>
internal sealed class DataBlockBuilder
{
    private readonly int _restartInterval;
    private readonly List<int> _restarts = new(64);
    private byte[] _bytes = new byte[8192];
    private int _length;
    private int _sinceRestart;

    public DataBlockBuilder(int restartInterval) => _restartInterval = Math.Max(1, restartInterval);

    public int Count { get; private set; }

    /// <summary>Bytes of the block if it were finished now.</summary>
    public int SizeBytes => _length + ((_restarts.Count + 1) * sizeof(int));

    /// <param name="shared">Length of the common prefix of <paramref name="userKey"/> and the key added before.</param>
    public void Add(ReadOnlySpan<byte> userKey, int shared, Trailer trailer, long expiresAtMs, ReadOnlySpan<byte> value)
    {
        if (Count == 0 || _sinceRestart == _restartInterval)
        {
            _restarts.Add(_length);
            _sinceRestart = 0;
            shared = 0;
        }

        int unshared = userKey.Length - shared;
        EnsureRoom((3L * Varint.MaxLength32) + unshared + 16 + value.Length);
        Span<byte> to = _bytes.AsSpan(_length);
        int at;
        if ((uint)(shared | unshared | value.Length) < 0x80)
        {
            to[0] = (byte)shared;
            to[1] = (byte)unshared;
            to[2] = (byte)value.Length;
            at = 3;
        }
        else
        {
            at = Varint.Write(to, (uint)shared);
            at += Varint.Write(to[at..], (uint)unshared);
            at += Varint.Write(to[at..], (uint)value.Length);
        }

        userKey[shared..].CopyTo(to[at..]);
        at += unshared;
        BinaryPrimitives.WriteUInt64LittleEndian(to[at..], trailer.Packed);
        at += 8;
        if (trailer.Kind == ValueKind.ExpiringValue)
        {
            BinaryPrimitives.WriteInt64LittleEndian(to[at..], expiresAtMs);
            at += 8;
        }

        value.CopyTo(to[at..]);
        _length += at + value.Length;
        _sinceRestart++;
        Count++;
    }

    /// <summary>Completes the block and returns its bytes, valid until <see cref="Clear"/>.</summary>
    public ReadOnlySpan<byte> Finish()
    {
        EnsureRoom((_restarts.Count + 1L) * sizeof(int));
        foreach (int restart in _restarts)
        {
            BinaryPrimitives.WriteInt32LittleEndian(_bytes.AsSpan(_length), restart);
            _length += sizeof(int);
        }

        BinaryPrimitives.WriteInt32LittleEndian(_bytes.AsSpan(_length), _restarts.Count);
        _length += sizeof(int);
        return _bytes.AsSpan(0, _length);
    }

    public void Clear()
    {
        _restarts.Clear();
        _length = 0;
        _sinceRestart = 0;
        Count = 0;
        if (_bytes.Length > 1 << 20)
            _bytes = new byte[8192];
    }

    private void EnsureRoom(long size)
    {
        if (_bytes.Length - _length >= size)
            return;
        long wanted = Math.Max((long)_bytes.Length * 2, _length + size);
        Check.That(_length + size <= SSTableFormat.BlockPayloadBytesMax, $"a data block of {_length + size} bytes");
        Array.Resize(ref _bytes, (int)Math.Min(wanted, Array.MaxLength));
    }
}
