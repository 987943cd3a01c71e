using System.Diagnostics;
using System.Net.Sockets;
using Kvasir.Primitives;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Bench.Servers;

/// <summary>
/// One client of a load run.
/// <para>
/// <b>Closed loop</b>: sends as many requests as the pipeline is deep, waits for all their replies, begins again; a
/// latency runs from the send. <b>Open loop</b>: the pacer calls <see cref="Offer"/> by the clock, whatever the server
/// does, and a latency runs from the moment the request was <i>due</i>: a server that stalls is charged for every
/// request that should have been answered meanwhile (no coordinated omission).
/// </para>
/// In an open loop the pacer's thread and the receiver share the object; <c>_gate</c> guards everything but the input.
/// </summary>
internal sealed class LoadConnection : IDisposable
{
    // An open loop against a server that hangs must not grow without bound; what is due later waits at the pacer,
    // and is still charged from its due time.
    private const int InFlightMax = 1 << 14;

    private readonly Socket _socket;
    private readonly ILoadProtocol _protocol;
    private readonly LoadWorkload _workload;
    private readonly LoadTally _tally;
    private readonly SeededRandom _random;
    private readonly Lock _gate = new();
    private readonly BytesBuffer _output = new(16 << 10);
    private readonly Request[] _inFlight;
    private readonly Queue<Request> _secondHalves = new();
    private byte[] _input = new byte[64 << 10];
    private int _inputLength;
    private long _head;
    private long _tail;
    private int _sent;
    private int _place;

    public LoadConnection(Socket socket, ILoadProtocol protocol, LoadWorkload workload, LoadTally tally, SeededRandom random, int pipeline)
    {
        _socket = socket;
        _protocol = protocol;
        _workload = workload;
        _tally = tally;
        _random = random;
        _place = CompressibleData.StartIn(random.Next(1 << 19));
        long capacity = pipeline > 0 ? (long)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)pipeline) : InFlightMax;
        _inFlight = new Request[capacity];
    }

    private readonly record struct Request(long Started, long Key, LoadOperation Operation);

    /// <summary>Runs batches until <paramref name="claim"/> grants no more requests.</summary>
    public async Task RunClosed(int pipeline, Func<int, int> claim)
    {
        while (true)
        {
            int halves = Math.Min(_secondHalves.Count, pipeline);
            int granted = halves == pipeline ? 0 : claim(pipeline - halves);
            if (granted + halves == 0)
                return;
            long now = Stopwatch.GetTimestamp();
            _output.Clear();
            for (int i = 0; i < halves; i++)
            {
                Request half = _secondHalves.Dequeue();
                _workload.Set(_protocol, ref _place, _output, half.Key);
                Push(half with { Operation = LoadOperation.ReadModifyWrite });
            }

            for (int i = 0; i < granted; i++)
            {
                LoadOperation operation = _workload.Next(_protocol, _random, ref _place, _output, out long key);
                Push(new Request(now, key, operation == LoadOperation.ReadModifyWrite ? FirstHalf : operation));
            }

            await Send();
            while (_head != _tail)
            {
                await ReceiveSome();
                _output.Clear();
                _protocol.AppendOwn(_output);
                if (_output.Length > 0)
                    await Send();
            }
        }
    }

    /// <summary>Receives until the pacer has closed the sending side and every reply is in, or the socket is closed.</summary>
    public async Task RunOpen(Func<bool> finished)
    {
        while (true)
        {
            lock (_gate)
            {
                if (finished() && _head == _tail && _secondHalves.Count == 0)
                    return;
            }

            await ReceiveSome();
        }
    }

    /// <summary>Takes a request due at <paramref name="due"/>; false when too many are on their way already.</summary>
    public bool Offer(long due)
    {
        lock (_gate)
        {
            if (_tail - _head + _secondHalves.Count >= _inFlight.Length / 2)
                return false;
            LoadOperation operation = _workload.Next(_protocol, _random, ref _place, _output, out long key);
            Push(new Request(due, key, operation == LoadOperation.ReadModifyWrite ? FirstHalf : operation));
            return true;
        }
    }

    /// <summary>Sends what was offered, as far as the socket takes it now.</summary>
    public void FlushOffered()
    {
        lock (_gate)
        {
            while (_secondHalves.TryDequeue(out Request half))
            {
                _workload.Set(_protocol, ref _place, _output, half.Key);
                Push(half with { Operation = LoadOperation.ReadModifyWrite });
            }

            while (_sent < _output.Length)
            {
                int sent = _socket.Send(_output.WrittenSpan[_sent..], SocketFlags.None, out SocketError error);
                if (error == SocketError.WouldBlock)
                    return;
                if (error != SocketError.Success)
                    throw new SocketException((int)error);
                _sent += sent;
            }

            _output.Clear();
            _sent = 0;
        }
    }

    public bool Idle
    {
        get
        {
            lock (_gate)
                return _head == _tail && _secondHalves.Count == 0;
        }
    }

    /// <summary>Whoever waits for the server waits no longer.</summary>
    public void GiveUp()
    {
        try
        {
            _socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It is closed already.
        }
    }

    public void Dispose() => _socket.Dispose();

    // The read of a read-modify-write; never reported as such.
    private const LoadOperation FirstHalf = (LoadOperation)(-1);

    private void Push(Request request)
    {
        Check.That(_tail - _head < _inFlight.Length);
        _inFlight[_tail++ & (_inFlight.Length - 1)] = request;
    }

    private async ValueTask Send()
    {
        ReadOnlyMemory<byte> rest = _output.WrittenMemory;
        while (!rest.IsEmpty)
            rest = rest[await _socket.SendAsync(rest)..];
    }

    private async ValueTask ReceiveSome()
    {
        if (_inputLength == _input.Length)
            Array.Resize(ref _input, _input.Length * 2);
        int read = await _socket.ReceiveAsync(_input.AsMemory(_inputLength));
        if (read == 0)
            throw new IOException("the server closed a connection");
        _inputLength += read;
        Complete(Stopwatch.GetTimestamp());
    }

    private void Complete(long now)
    {
        LatencyHistogram?[] histograms = _tally.Histograms;
        int at = 0;
        long completed = 0;
        lock (_gate)
        {
            while (at < _inputLength)
            {
                int length = _protocol.Take(_input.AsSpan(at, _inputLength - at), out LoadReply reply);
                if (length == 0)
                    break;
                if (reply is LoadReply.Error or LoadReply.Missing)
                    _tally.Note(reply, _input.AsSpan(at, length));
                at += length;
                if (reply == LoadReply.Nothing)
                    continue;
                if (_head == _tail)
                    throw new RespFormatException("the server sent a reply that nobody asked for");
                Request request = _inFlight[_head++ & (_inFlight.Length - 1)];
                if (request.Operation == FirstHalf)
                {
                    _secondHalves.Enqueue(request);
                    continue;
                }

                LatencyHistogram histogram = histograms[(int)request.Operation] ??= new LatencyHistogram();
                histogram.Record((long)Stopwatch.GetElapsedTime(request.Started, now).TotalNanoseconds);
                completed++;
            }
        }

        _input.AsSpan(at, _inputLength - at).CopyTo(_input);
        _inputLength -= at;
        _tally.AddCompleted(completed);
    }
}
