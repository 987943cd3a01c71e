using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;

namespace Kvasir.Server.Sessions;

/// <summary>
/// Replies on their way to a client. Some may leave at once; some are <i>gated</i>: they may leave only when their log is
/// durable up to a position, and become errors when it never will be; some come from another node and have only their place
/// here until then. Order is kept, so a reply also waits for those before it. Touched by one thread at a time.
/// </summary>
internal sealed class SessionOutput
{
    private const int KeptBytes = 64 << 10;
    private ReplyGate[] _gates = [];
    private int _firstGate;
    private int _gateCount;
    private int _sent;

    // Places among the gates of replies that other nodes make. While there are none, what is sent is sent from the buffer;
    // else what may leave is gathered first, so that no reply is ever moved by one that comes in before it.
    private int _places;
    private BytesBuffer? _gathered;
    private int _gatheredSent;

    /// <summary>Where replies are written. Bytes before what was sent are dropped now and then.</summary>
    public BytesBuffer Buffer { get; } = new(16);

    /// <summary>Bytes written and not sent.</summary>
    public int Length => Buffer.Length - _sent + (_gathered is null ? 0 : _gathered.Length - _gatheredSent);

    /// <summary>What the client takes with it.</summary>
    public long MemoryBytes => Buffer.Capacity + (long)(_gathered?.Capacity ?? 0) + ((long)_gates.Length * Unsafe.SizeOf<ReplyGate>());

    /// <summary>An empty buffer that is larger is given back.</summary>
    public int SpareBytesMax { get; set; } = 1 << 20;

    /// <summary>Replies wait for a log or for another node.</summary>
    public bool HasGates => _gateCount != 0;

    /// <summary>Replies wait for a log.</summary>
    public bool AwaitsLog => _gateCount > _places;

    /// <summary>Everything from <paramref name="start"/> to the end of the buffer waits for <paramref name="position"/>.</summary>
    public void AddGate(IReplicaLog log, LogPosition position, int start, int replies) =>
        Add(new ReplyGate { Log = log, Position = position, Start = start, End = Buffer.Length, Replies = replies });

    /// <summary>As <see cref="AddGate"/>, for the reply of a command that only reads, and saw what is not durable yet.</summary>
    public void AddReadGate(IReplicaLog log, LogPosition position, int start) =>
        Add(new ReplyGate { Log = log, Position = position, Start = start, End = Buffer.Length, Replies = 1, IsRead = true });

    /// <summary>A reply that is made elsewhere will stand here.</summary>
    public void AddPlace(PendingReply reply)
    {
        Add(new ReplyGate { Pending = reply, Start = Buffer.Length, End = Buffer.Length });
        _places++;
    }

    /// <summary>
    /// Looks how far the logs are durable that the first replies wait for. Apart from <see cref="Sendable"/>, because losses
    /// are to be met in between: positions that a loss took back are given again, and a later one must not open the gate of
    /// an earlier write.
    /// </summary>
    public void LookAtLogs()
    {
        IReplicaLog? log = null;
        LogPosition durable = default;
        foreach (ref ReplyGate gate in _gates.AsSpan(_firstGate, _gateCount))
        {
            if (gate.Log is null)
            {
                if (!gate.Pending!.IsThere)
                    return;
                continue;
            }

            if (!ReferenceEquals(gate.Log, log))
            {
                log = gate.Log;
                durable = log.DurablePosition;
            }

            if (gate.Position > durable)
                return;
            gate.IsReady = true;
        }
    }

    /// <summary>Bytes that may be sent now, as far as the logs had come when they were looked at.</summary>
    public Memory<byte> Sendable()
    {
        if (_places != 0 || _gathered is { Length: > 0 })
            return Gather();
        while (_gateCount != 0 && _gates[_firstGate].IsReady)
            DropFirst();
        int end = _gateCount == 0 ? Buffer.Length : _gates[_firstGate].Start;
        return MemoryMarshal.AsMemory(Buffer.WrittenMemory)[_sent..end];
    }

    public void Sent(int count)
    {
        if (_gathered is { Length: > 0 } gathered)
        {
            _gatheredSent += count;
            Check.That(_gatheredSent <= gathered.Length);
            if (_gatheredSent == gathered.Length)
            {
                _gatheredSent = 0;
                gathered.ClearAndTrim(SpareBytesMax);
            }

            return;
        }

        _sent += count;
        Check.That(_sent <= Buffer.Length);
        Tidy();
    }

    /// <summary>
    /// A log failed behind <paramref name="durable"/>: replies that wait for a later position of it become
    /// <paramref name="error"/>, as many as they were, or <paramref name="readError"/> where nothing was written.
    /// </summary>
    public void Fail(IReplicaLog log, LogPosition durable, string error, string readError) => FailLost(log, durable, error, readError);

    /// <summary>As <see cref="Fail"/>, for every reply that waits for a log, whichever and for whatever position.</summary>
    public void FailAll(string error, string readError) => FailLost(null, LogPosition.Zero, error, readError);

    /// <summary>Gives back memory while nothing is on its way.</summary>
    public void Trim()
    {
        if (Length != 0 || _gateCount != 0)
            return;
        Buffer.ClearAndTrim(16);
        _sent = 0;
        _firstGate = 0;
        _gates = [];
        _gathered = null;
    }

    private void FailLost(IReplicaLog? log, LogPosition durable, string error, string readError)
    {
        if (!IsAnyLost(log, durable))
            return;
        byte[] line = Encoding.UTF8.GetBytes("-" + error + "\r\n");
        byte[] readLine = Encoding.UTF8.GetBytes("-" + readError + "\r\n");
        byte[] old = Buffer.WrittenSpan.ToArray();
        int copied = _sent;
        int kept = _firstGate;
        Buffer.Clear();
        foreach (ref readonly ReplyGate gate in _gates.AsSpan(_firstGate, _gateCount))
        {
            Buffer.Append(old.AsSpan(copied, gate.Start - copied));
            copied = gate.End;
            if (IsLost(gate, log, durable))
            {
                for (int i = 0; i < gate.Replies; i++)
                    Buffer.Append(gate.IsRead ? readLine : line);
                continue;
            }

            int start = Buffer.Length;
            Buffer.Append(old.AsSpan(gate.Start, gate.End - gate.Start));
            _gates[kept++] = gate with { Start = start, End = Buffer.Length };
        }

        Buffer.Append(old.AsSpan(copied));
        _sent = 0;
        _gateCount = kept - _firstGate;
    }

    /// <param name="log">Null is all.</param>
    private static bool IsLost(in ReplyGate gate, IReplicaLog? log, LogPosition durable) =>
        log is null ? gate.Log is not null : ReferenceEquals(gate.Log, log) && gate.Position > durable;

    private bool IsAnyLost(IReplicaLog? log, LogPosition durable)
    {
        foreach (ref readonly ReplyGate gate in _gates.AsSpan(_firstGate, _gateCount))
        {
            if (IsLost(gate, log, durable))
                return true;
        }

        return false;
    }

    private Memory<byte> Gather()
    {
        BytesBuffer gathered = _gathered ??= new BytesBuffer(256);
        while (_gateCount != 0)
        {
            ref ReplyGate gate = ref _gates[_firstGate];
            if (gate.Pending is { } pending)
            {
                if (!pending.IsThere)
                    break;
                GatherTo(gate.Start);
                pending.MoveTo(gathered);
                _places--;
            }
            else if (!gate.IsReady)
            {
                break;
            }

            DropFirst();
        }

        GatherTo(_gateCount == 0 ? Buffer.Length : _gates[_firstGate].Start);
        Tidy();
        return MemoryMarshal.AsMemory(gathered.WrittenMemory)[_gatheredSent..];
    }

    private void GatherTo(int end)
    {
        _gathered!.Append(Buffer.WrittenSpan[_sent..end]);
        _sent = end;
    }

    private void DropFirst()
    {
        _gates[_firstGate] = default;
        _firstGate++;
        _gateCount--;
    }

    private void Add(in ReplyGate gate)
    {
        if (_firstGate + _gateCount == _gates.Length)
            MakeRoom();
        _gates[_firstGate + _gateCount++] = gate;
    }

    private void MakeRoom()
    {
        if (_firstGate > 0 && _gateCount <= _gates.Length / 2)
        {
            Array.Copy(_gates, _firstGate, _gates, 0, _gateCount);
        }
        else
        {
            ReplyGate[] larger = new ReplyGate[Math.Max(16, _gates.Length * 2)];
            Array.Copy(_gates, _firstGate, larger, 0, _gateCount);
            _gates = larger;
        }

        _firstGate = 0;
    }

    /// <summary>Drops bytes that have left.</summary>
    private void Tidy()
    {
        if (_sent == Buffer.Length && _gateCount == 0)
        {
            _sent = 0;
            _firstGate = 0;
            Buffer.ClearAndTrim(SpareBytesMax);
        }
        else if (_sent >= KeptBytes && _sent >= Buffer.Length / 2)
        {
            Compact();
        }
    }

    private void Compact()
    {
        Span<byte> rest = Buffer.WrittenSpan[_sent..];
        int length = rest.Length;
        rest.CopyTo(Buffer.WrittenSpan);
        Buffer.Truncate(length);
        foreach (ref ReplyGate gate in _gates.AsSpan(_firstGate, _gateCount))
        {
            gate.Start -= _sent;
            gate.End -= _sent;
        }

        _sent = 0;
    }

    /// <summary>Replies from Start to End that wait for a log, or the place of one that another node makes.</summary>
    private record struct ReplyGate
    {
        public IReplicaLog? Log;
        public PendingReply? Pending;
        public LogPosition Position;
        public int Start;
        public int End;
        public int Replies;
        public bool IsRead;
        public bool IsReady;
    }
}
