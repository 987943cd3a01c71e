using System.Buffers;
using System.IO.Pipelines;
using Kvasir.Server.Sessions;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace Kvasir.Server.Transport;

/// <summary>One Kestrel connection: a single asynchronous loop that reads, runs and sends.</summary>
internal sealed class KestrelConnection : ISessionOwner, IThreadPoolWorkItem
{
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan s_linger = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_lingerQuiet = TimeSpan.FromMilliseconds(200);

    // What the pipe takes at a time: it copies, and what it has taken is no longer counted here.
    private const int WriteBytes = 64 << 10;

    // Some rounds after the last request, the session has nothing left to give back.
    private const int TendedMs = 10_000;

    private readonly ServerState _server;
    private readonly ConnectionContext _context;
    private readonly IDuplexPipe _pipe;
    private readonly OutputOverrun _overrun = new();
    private long _lastActiveMs = Environment.TickCount64;
    private long _unsentBytes;
    private bool _closeSeen;
    private volatile bool _finishing;
    private volatile bool _tendDue;
    private int _woken;

    public KestrelConnection(ServerState server, ConnectionContext context, string address, string localAddress)
    {
        _server = server;
        _context = context;
        _pipe = context.Transport;
        Session = new RespSession(server, this, address, localAddress);
    }

    public RespSession Session { get; }

    public TaskCompletionSource Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Replies wait for the log.</summary>
    public volatile bool AwaitsLog;

    /// <summary>
    /// On another thread: cancelling a read may run what waits for it at once, on this one, and that is the thread that
    /// commits, or one inside the mailbox. It would wait there for itself.
    /// </summary>
    public void Wake(RespSession session)
    {
        if (Interlocked.Exchange(ref _woken, 1) == 0)
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    /// <summary>Nothing more is read; completes when the replies to what had come have left. Any thread.</summary>
    public Task Finish()
    {
        _finishing = true;
        Wake(Session);
        return Ended.Task;
    }

    void IThreadPoolWorkItem.Execute() => _pipe.Input.CancelPendingRead();

    /// <summary>
    /// Looks after it: closes it when it has been idle for too long or does not read what it asked for. By the clock, on a
    /// thread of its own, because the loop may hang in a write until the other side reads.
    /// </summary>
    public void Look(long nowMs, bool tend)
    {
        if (Session.ClosesNow)
        {
            // The loop ends by itself unless it hangs.
            if (_closeSeen)
                _context.Abort();
            _closeSeen = true;
            return;
        }

        if (_overrun.IsBeyond(_server.Limits.Output(Session), Interlocked.Read(ref _unsentBytes) + Session.PushBytes, nowMs))
        {
            Session.ClosesNow = true;
            _context.Abort();
            return;
        }

        long quietMs = nowMs - Interlocked.Read(ref _lastActiveMs);
        long idleMs = _server.Limits.IdleSeconds * 1000L;
        if (idleMs > 0 && quietMs > idleMs && !Session.Subscriptions.Any && Session.Suspended is null)
        {
            Session.Kill();
        }
        else if (tend && quietMs < TendedMs)
        {
            _tendDue = true;
            Wake(Session);
        }
    }

    public async Task Serve()
    {
        while (!Session.ClosesNow)
        {
            if (Session.Suspended is not null)
            {
                await Task.Delay(s_look, _context.ConnectionClosed).ContinueWith(static _ => { }, TaskScheduler.Default);
                if (_context.ConnectionClosed.IsCancellationRequested)
                    return;
                await Run();
            }
            else if (Session.HasMore)
            {
                await Run();
            }
            else if (_finishing)
            {
                Session.ClosesAfterReplies = true;
            }
            else
            {
                await Receive();
            }

            if (!await Send())
                return;
            if (_server.ClientMemory.IsOver)
                _server.Node.Mailbox.Post(_server.ClientMemory);
            if (Session.ClosesAfterReplies)
            {
                if (Session.Parser.Error is not null)
                    await Linger();
                return;
            }
        }
    }

    private async ValueTask Receive()
    {
        ReadResult read = await _pipe.Input.ReadAsync(CancellationToken.None);
        Volatile.Write(ref _woken, 0);
        if (!read.Buffer.IsEmpty)
        {
            Interlocked.Exchange(ref _lastActiveMs, Environment.TickCount64);
            Take(read.Buffer);
            await Run();
            return;
        }

        // It may have closed its side only, and replies that wait for the disk are still owed.
        if (read.IsCompleted)
            Session.ClosesAfterReplies = true;
        _pipe.Input.AdvanceTo(read.Buffer.Start);
        if (_tendDue)
        {
            _tendDue = false;
            long nowMs = Environment.TickCount64;
            Session.Tend(nowMs, nowMs - Interlocked.Read(ref _lastActiveMs));
        }
    }

    private void Take(ReadOnlySequence<byte> bytes)
    {
        SessionInput input = Session.Input;
        if (input.Array is null)
            input.Lend(ArrayPool<byte>.Shared.Rent(16 << 10), isLent: false);
        foreach (ReadOnlyMemory<byte> piece in bytes)
        {
            Memory<byte> room = input.Room(Math.Max(Session.Parser.BytesWanted, input.Length + piece.Length));
            piece.CopyTo(room);
            input.Received(piece.Length);
        }

        _server.Statistics.Received((int)bytes.Length);
        _pipe.Input.AdvanceTo(bytes.End);
        if (input.Length > _server.Limits.InputMax)
            Session.ClosesNow = true;
    }

    private async ValueTask Run()
    {
        Session.Execute();
        while (Session.IsRunning)
            await Task.Yield();
        byte[]? array = Session.Input.TakeBack();
        if (array is not null && array.Length <= 64 << 10)
            ArrayPool<byte>.Shared.Return(array);
    }

    /// <summary>False when the connection is gone.</summary>
    private async ValueTask<bool> Send()
    {
        if (Session.Output.HasGates)
            AwaitsLog = true;
        if (_server.Router is { Forwarder: { HasUnsent: true } forwarder })
            forwarder.Flush();
        LogGate.Commit(_server, inline: false);
        bool flushed = await SendReady();
        AwaitsLog = Session.Output.HasGates;

        // Looked at again: the log may have moved between the two lines above.
        if (AwaitsLog && flushed)
            flushed = await SendReady();
        while (Session.ClosesAfterReplies && (Session.Output.Length != 0 || Session.Output.HasGates) && flushed)
        {
            await Task.Delay(s_look);
            flushed = await SendReady();
        }

        Interlocked.Exchange(ref _unsentBytes, Session.Output.Length);
        return flushed;
    }

    /// <summary>Sends what may leave now. Messages that come meanwhile wait for the next time: commands must have their turn.</summary>
    private async ValueTask<bool> SendReady()
    {
        if (Session.ClosesNow)
            return false;
        int left = Session.Sendable().Length;
        while (left > 0)
        {
            Memory<byte> bytes = Session.Sendable();
            bytes = bytes[..Math.Min(bytes.Length, Math.Min(left, WriteBytes))];
            Interlocked.Exchange(ref _unsentBytes, Session.Output.Length);
            FlushResult result = await _pipe.Output.WriteAsync(bytes);
            Session.Output.Sent(bytes.Length);
            _server.Statistics.Sent(bytes.Length);
            if (result.IsCompleted || Session.ClosesNow)
                return false;
            left -= bytes.Length;
        }

        return true;
    }

    /// <summary>
    /// For one that was told what is wrong with what it sends. Closing while bytes are on their way to us would reset the
    /// connection, and the reason would be lost with it: what still comes is thrown away for a moment.
    /// </summary>
    private async Task Linger()
    {
        TimeSpan quiet = s_lingerQuiet;
        if (_context.Features.Get<ISslStreamFeature>() is { } tls)
        {
            await tls.SslStream.ShutdownAsync().WaitAsync(s_linger, _server.Time);
            quiet = s_linger;
        }

        // Kestrel cannot close only our side of a plain connection: the other side waits for the end until it is quiet.
        long begun = _server.Time.GetTimestamp();
        while (!Session.ClosesNow && _server.Time.GetElapsedTime(begun) < s_linger)
        {
            using CancellationTokenSource limit = new(quiet, _server.Time);
            ReadResult read = await _pipe.Input.ReadAsync(limit.Token);
            Volatile.Write(ref _woken, 0);
            _pipe.Input.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted)
                return;
        }
    }
}
