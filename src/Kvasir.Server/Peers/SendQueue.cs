using System.Runtime.InteropServices;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Server.Transport;
using Kvasir.Wire.Peers;

namespace Kvasir.Server.Peers;

/// <summary>
/// The way out of one connection, and its socket. Whoever adds a frame while nobody sends sends it on the spot, together with
/// what others add meanwhile; what the socket does not take at once leaves by the loop, when it reports room. Bytes are
/// copied once, into pinned chunks. Thread-safe; no lock is held during a system call that sends.
/// </summary>
internal sealed unsafe class SendQueue
{
    private const int RangesMax = 32;

    // So often one thread sends what others add; then the loop goes on, and the thread has its own work again.
    private const int RoundsMax = 16;

    private readonly Lock _lock = new();
    private readonly ChunkPool _pool;
    private readonly int _epoll;
    private readonly ulong _token;
    private readonly int _bytesMax;
    private readonly List<byte[]> _chunks = [];

    // Everything below is under _lock.
    private int _fd;
    private int _startInFirst;
    private int _endInLast;
    private long _pending;
    private int _interest = LinuxCalls.EpollIn;
    private bool _isSending;
    private bool _awaitsRoom;
    private bool _isFull;
    private bool _isBroken;
    private bool _isClosed;
    private bool _isIdle = true;

    public SendQueue(ChunkPool pool, int epoll, ulong token, int fd, int bytesMax)
    {
        _pool = pool;
        _epoll = epoll;
        _token = token;
        _fd = fd;
        _bytesMax = bytesMax;
    }

    public long PendingBytes
    {
        get
        {
            lock (_lock)
                return _pending;
        }
    }

    /// <summary>The socket is to be waited for until it is connected: the kernel then reports room.</summary>
    public bool TryWatch(bool untilConnected)
    {
        lock (_lock)
        {
            _interest = untilConnected ? LinuxCalls.EpollOut : LinuxCalls.EpollIn;
            _awaitsRoom = untilConnected;
            return LinuxCalls.EpollControl(_epoll, LinuxCalls.EpollAdd, _fd, _interest, _token) >= 0;
        }
    }

    /// <summary>Another socket takes the place of this one, which is not closed. Nothing was sent yet.</summary>
    public bool TryReplaceSocket(int fd)
    {
        lock (_lock)
        {
            Check.That(_pending == 0 && !_isSending && !_isClosed);
            _ = LinuxCalls.EpollControl(_epoll, LinuxCalls.EpollDelete, _fd, 0, _token);
            _fd = fd;
            _interest = LinuxCalls.EpollIn;
            _awaitsRoom = false;
            return LinuxCalls.EpollControl(_epoll, LinuxCalls.EpollAdd, fd, _interest, _token) >= 0;
        }
    }

    /// <summary>Bytes that are no frame, or frames that were made already.</summary>
    public void AddRaw(ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            if (_isClosed || _isBroken)
                return;
            Append(bytes);
            if (_isSending || _awaitsRoom)
                return;
            _isSending = true;
        }

        Drain();
    }

    /// <param name="waits">It may wait for the next frame, or for <see cref="Flush"/>.</param>
    public SendOutcome Add(PeerFrameKind kind, ReadOnlySpan<byte> body, bool waits)
    {
        Span<byte> header = stackalloc byte[PeerFrame.HeaderBytes];
        PeerFrame.WriteHeader(header, kind, body);
        SendOutcome outcome = SendOutcome.Queued;
        lock (_lock)
        {
            if (_isClosed || _isBroken)
                return SendOutcome.Unreachable;
            if (_pending > 0 && _pending + header.Length + body.Length > _bytesMax)
            {
                // What was only held back for company must go now, or the room that is promised would never come.
                _isFull = true;
                outcome = SendOutcome.Full;
            }
            else
            {
                Append(header);
                Append(body);
                if (waits)
                    return outcome;
            }

            if (_isSending || _awaitsRoom)
                return outcome;
            _isSending = true;
        }

        Drain();
        return outcome;
    }

    /// <summary>A sign of life, unless something else was one since the last time, or still waits to be.</summary>
    public bool AddPingIfIdle()
    {
        lock (_lock)
        {
            bool idle = _isIdle && _pending == 0;
            _isIdle = true;
            if (!idle)
                return false;
        }

        bool sent = Add(PeerFrameKind.Ping, [], waits: false) == SendOutcome.Queued;
        lock (_lock)
            _isIdle = true;
        return sent;
    }

    /// <summary>What was held back leaves.</summary>
    public void Flush()
    {
        lock (_lock)
        {
            if (_pending == 0 || _isSending || _awaitsRoom || _isClosed || _isBroken)
                return;
            _isSending = true;
        }

        Drain();
    }

    /// <summary>The kernel has reported room. True when somebody was refused for want of it, and would not be now. The loop only.</summary>
    public bool RoomCame()
    {
        lock (_lock)
        {
            if (_isClosed)
                return false;
            _awaitsRoom = false;
            if (_isSending || _isBroken || _pending == 0)
            {
                if (!_isSending)
                    Watch(writable: false);
                return TakeFull();
            }

            _isSending = true;
        }

        Drain();
        lock (_lock)
        {
            if (!_awaitsRoom && !_isClosed)
                Watch(writable: false);
            return TakeFull();
        }
    }

    /// <summary>Nothing is sent any more, and the socket is closed as soon as nobody uses it. Returns what was not sent.</summary>
    public long Close()
    {
        lock (_lock)
        {
            if (_isClosed)
                return 0;
            _isClosed = true;
            _ = LinuxCalls.EpollControl(_epoll, LinuxCalls.EpollDelete, _fd, 0, _token);
            long lost = _pending;
            if (!_isSending)
                Release();
            return lost;
        }
    }

    private void Drain()
    {
        LinuxCalls.ByteRange* ranges = stackalloc LinuxCalls.ByteRange[RangesMax];
        int count = 0;
        for (int round = 0; ; round++)
        {
            int fd;
            lock (_lock)
            {
                if (_isClosed || _isBroken || _pending == 0)
                {
                    EndSending();
                    return;
                }

                if (round == RoundsMax)
                {
                    // There is room, so that the loop hears of it at once.
                    AwaitRoom();
                    EndSending();
                    return;
                }

                count = Gather(ranges);
                fd = _fd;
                _isIdle = false;
            }

            // Nobody else moves the chunks or closes the socket while _isSending is set; others may fill the last chunk further.
            nint sent = count == 1
                ? LinuxCalls.Send(fd, new ReadOnlySpan<byte>(ranges->Start, (int)ranges->Length))
                : LinuxCalls.SendGather(fd, ranges, count);
            int error = sent < 0 ? Marshal.GetLastPInvokeError() : 0;
            if (error == LinuxCalls.Interrupted)
                continue;
            lock (_lock)
            {
                if (error == 0)
                {
                    Sent(sent);
                    if (_pending > 0 && sent < Total(ranges, count))
                        AwaitRoom();
                }
                else if (error == LinuxCalls.TryAgain)
                {
                    AwaitRoom();
                }
                else
                {
                    // The kernel reports the end of the connection to the loop by itself.
                    _isBroken = true;
                }

                if (_awaitsRoom || _isBroken || _isClosed || _pending == 0)
                {
                    EndSending();
                    return;
                }
            }
        }
    }

    private static nint Total(LinuxCalls.ByteRange* ranges, int count)
    {
        nint total = 0;
        for (int i = 0; i < count; i++)
            total += (nint)ranges[i].Length;
        return total;
    }

    /// <summary>Under the lock: what waits, oldest first, as far as one call takes it.</summary>
    private int Gather(LinuxCalls.ByteRange* ranges)
    {
        int count = Math.Min(_chunks.Count, RangesMax);
        for (int i = 0; i < count; i++)
        {
            int start = i == 0 ? _startInFirst : 0;
            int end = i == _chunks.Count - 1 ? _endInLast : ChunkPool.ChunkBytes;
            byte* address = (byte*)Marshal.UnsafeAddrOfPinnedArrayElement(_chunks[i], start);
            ranges[i] = new LinuxCalls.ByteRange(address, end - start);
        }

        return count;
    }

    private void Append(ReadOnlySpan<byte> bytes)
    {
        _pending += bytes.Length;
        while (!bytes.IsEmpty)
        {
            if (_chunks.Count == 0 || _endInLast == ChunkPool.ChunkBytes)
            {
                _chunks.Add(_pool.Take());
                _endInLast = 0;
            }

            int part = Math.Min(bytes.Length, ChunkPool.ChunkBytes - _endInLast);
            bytes[..part].CopyTo(_chunks[^1].AsSpan(_endInLast));
            _endInLast += part;
            bytes = bytes[part..];
        }
    }

    private void Sent(nint bytes)
    {
        _pending -= bytes;
        long past = _startInFirst + bytes;
        int whole = (int)(past / ChunkPool.ChunkBytes);

        // The last one stays, full or not, so that a connection in steady state asks the pool for nothing.
        if (_pending == 0)
            whole = _chunks.Count - 1;
        for (int i = 0; i < whole; i++)
            _pool.Return(_chunks[i]);
        _chunks.RemoveRange(0, whole);
        _startInFirst = _pending == 0 ? 0 : (int)(past % ChunkPool.ChunkBytes);
        if (_pending == 0)
            _endInLast = 0;
    }

    private void AwaitRoom()
    {
        _awaitsRoom = true;
        if (!_isClosed)
            Watch(writable: true);
    }

    private void Watch(bool writable)
    {
        int interest = LinuxCalls.EpollIn | (writable ? LinuxCalls.EpollOut : 0);
        if (interest == _interest)
            return;
        _interest = interest;
        _ = LinuxCalls.EpollControl(_epoll, LinuxCalls.EpollModify, _fd, interest, _token);
    }

    private void EndSending()
    {
        _isSending = false;
        if (_isClosed)
            Release();
        else if (_isFull && !_awaitsRoom && !_isBroken)
            AwaitRoom();
    }

    private bool TakeFull()
    {
        if (!_isFull || _isClosed || _isBroken || _pending > _bytesMax / 2)
            return false;
        _isFull = false;
        return true;
    }

    private void Release()
    {
        if (_fd < 0)
            return;
        LinuxCalls.Close(_fd);
        _fd = -1;
        foreach (byte[] chunk in _chunks)
            _pool.Return(chunk);
        _chunks.Clear();
        _pending = 0;
    }
}
