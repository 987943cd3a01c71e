using System.Text;
using Kvasir.Primitives;

namespace Kvasir.Server.Sessions;

/// <summary>
/// Replies on their way to a client. Some may leave at once; some are <i>gated</i>: they may leave only when the log is
/// durable up to a position, and become errors when it never will be. Order is kept, so a reply also waits for the gated
/// ones before it. Touched by one thread at a time.
/// </summary>
internal sealed class SessionOutput
{
    private const int KeptBytes = 64 << 10;
    private ReplyGate[] _gates = [];
    private int _firstGate;
    private int _gateCount;
    private int _sent;

    /// <summary>Where replies are written. Bytes before what was sent are dropped now and then.</summary>
    public BytesBuffer Buffer { get; } = new(16);

    /// <summary>Bytes written and not sent.</summary>
    public int Length => Buffer.Length - _sent;

    public bool HasGates => _gateCount != 0;

    /// <summary>The position that the first reply waits for.</summary>
    public LogPosition FirstGate => _gateCount == 0 ? LogPosition.Zero : _gates[_firstGate].Position;

    /// <summary>Everything from <paramref name="start"/> to the end of the buffer waits for <paramref name="position"/>.</summary>
    public void AddGate(LogPosition position, int start, int replies)
    {
        if (_firstGate + _gateCount == _gates.Length)
            MakeRoom();
        _gates[_firstGate + _gateCount++] = new ReplyGate(position, start, Buffer.Length, replies);
    }

    /// <summary>Bytes that may be sent now that the log is durable up to <paramref name="durable"/>.</summary>
    public Memory<byte> Sendable(LogPosition durable)
    {
        while (_gateCount != 0 && _gates[_firstGate].Position <= durable)
        {
            _firstGate++;
            _gateCount--;
        }

        int end = _gateCount == 0 ? Buffer.Length : _gates[_firstGate].Start;
        return System.Runtime.InteropServices.MemoryMarshal.AsMemory(Buffer.WrittenMemory)[_sent..end];
    }

    public void Sent(int count)
    {
        _sent += count;
        Check.That(_sent <= Buffer.Length);
        if (_sent == Buffer.Length)
        {
            Check.That(_gateCount == 0);
            _sent = 0;
            _firstGate = 0;
            Buffer.ClearAndTrim(1 << 20);
        }
        else if (_sent >= KeptBytes && _sent >= Buffer.Length / 2)
        {
            Compact();
        }
    }

    /// <summary>
    /// The log failed behind <paramref name="durable"/>: replies that wait for a later position become
    /// <paramref name="error"/>, as many as they were.
    /// </summary>
    public void Fail(LogPosition durable, string error)
    {
        if (_gateCount == 0)
            return;
        byte[] line = Encoding.UTF8.GetBytes("-" + error + "\r\n");
        byte[] old = Buffer.WrittenSpan.ToArray();
        int copied = _sent;
        Buffer.Clear();
        foreach (ref readonly ReplyGate gate in _gates.AsSpan(_firstGate, _gateCount))
        {
            if (gate.Position <= durable)
                continue;
            Buffer.Append(old.AsSpan(copied, gate.Start - copied));
            for (int i = 0; i < gate.Replies; i++)
                Buffer.Append(line);
            copied = gate.End;
        }

        Buffer.Append(old.AsSpan(copied));
        _sent = 0;
        _firstGate = 0;
        _gateCount = 0;
    }

    /// <summary>Gives back memory while nothing is on its way.</summary>
    public void Trim()
    {
        if (Length != 0 || _gateCount != 0)
            return;
        Buffer.ClearAndTrim(16);
        _sent = 0;
        _firstGate = 0;
        _gates = [];
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

    private void Compact()
    {
        Span<byte> rest = Buffer.WrittenSpan[_sent..];
        int length = rest.Length;
        rest.CopyTo(Buffer.WrittenSpan);
        Buffer.Truncate(length);
        foreach (ref ReplyGate gate in _gates.AsSpan(_firstGate, _gateCount))
            gate = gate with { Start = gate.Start - _sent, End = gate.End - _sent };
        _sent = 0;
    }

    private readonly record struct ReplyGate(LogPosition Position, int Start, int End, int Replies);
}
