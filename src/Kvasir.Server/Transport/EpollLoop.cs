using System.Collections.Concurrent;
using System.ComponentModel;
using System.Net;
using System.Runtime.InteropServices;
using Kvasir.Primitives;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Transport;

/// <summary>
/// One thread that serves many sockets: reads all that are ready, runs their commands, asks the log once to make durable
/// what they wrote, then sends all replies that may leave. In steady state it allocates nothing.
/// </summary>
internal sealed unsafe partial class EpollLoop : ISessionOwner, IDisposable
{
    private const int EventsMax = 512;

    // What one connection gets of a turn: a long pipeline neither holds up the others nor its own first replies. A request
    // that is longer is read in one go.
    private const int ReadBytesPerTurn = 16 << 10;

    // So many commands later replies leave before the turn is over, if they may: clients read them while the rest runs.
    private const int CommandsPerSend = 128;
    private const int CronMs = 100;
    private const ulong WakeToken = ulong.MaxValue;

    private readonly ServerState _server;
    private readonly ConnectionAcceptor _acceptor;
    private readonly bool _commitInline;
    private readonly EventWait _wait;
    private readonly int _epoll;
    private readonly int _wake;
    private readonly Lock _wakeLock = new();
    private bool _wakeIsClosed;
    private readonly byte* _events;
    private readonly Thread _thread;
    private readonly ConcurrentQueue<EpollConnection> _woken = new();
    private readonly ConcurrentQueue<AcceptedSocket> _arrivals = new();
    private readonly List<EpollConnection?> _slots = [];
    private readonly Stack<int> _freeSlots = new();
    private readonly ReadArrays _arrays = new();
    private readonly List<EpollConnection> _dirty = [];
    private readonly List<EpollConnection> _gated = [];
    private readonly LoopListeners _listeners;
    private uint _generation;
    private volatile bool _stopping;
    private volatile bool _durableMoved;
    private volatile bool _hasGated;
    private int _signalled;
    private long _nowMs;
    private long _commandsAtSend;
    private long _nextCronMs;
    private int _cronSlot;
    private bool _commitNeeded;
    private LogPosition _appended;

    public EpollLoop(ServerState server, ConnectionAcceptor acceptor, string name, bool commitInline, TimeSpan busyPoll)
    {
        _wait = new EventWait(busyPoll);
        _resume = StaysSuspended;
        _server = server;
        _acceptor = acceptor;
        _commitInline = commitInline;
        _epoll = Require(LinuxCalls.EpollCreate(), "epoll_create1");
        _listeners = new LoopListeners(_epoll);
        _wake = Require(LinuxCalls.EventCreate(), "eventfd");
        _events = (byte*)NativeMemory.AllocZeroed((nuint)(EventsMax * LinuxCalls.EventBytes));
        Require(LinuxCalls.EpollControl(_epoll, LinuxCalls.EpollAdd, _wake, LinuxCalls.EpollIn, WakeToken), "epoll_ctl");
        _thread = new Thread(Run) { Name = name, IsBackground = true };
    }

    public int ConnectionCount { get; private set; }

    public void Start() => _thread.Start();

    /// <summary>Serves a listening socket. Any thread.</summary>
    public void Listen(int fd)
    {
        LinuxCalls.SetNonBlocking(fd);
        Require(_listeners.Add(fd), "epoll_ctl");
    }

    /// <summary>Serves a listening socket no longer; the caller closes it. Any thread.</summary>
    public void Ignore(int fd) => _listeners.Remove(fd);

    /// <summary>Takes over a socket that another loop accepted. Any thread.</summary>
    public void Adopt(AcceptedSocket socket)
    {
        _arrivals.Enqueue(socket);
        Signal();
    }

    public void Wake(RespSession session)
    {
        EpollConnection connection = (EpollConnection)session.Connection!;
        if (Interlocked.Exchange(ref connection.WakePending, 1) != 0)
            return;
        _woken.Enqueue(connection);
        SignalFromOutside();
    }

    public void WakeLater(RespSession session)
    {
        EpollConnection connection = (EpollConnection)session.Connection!;
        if (Interlocked.Exchange(ref connection.WakePending, 1) == 0)
            _woken.Enqueue(connection);
    }

    /// <summary>Sessions that were to be woken later are woken now. Any thread.</summary>
    public void WakeNow()
    {
        if (!_woken.IsEmpty)
            SignalFromOutside();
    }

    /// <summary>Replies may leave that waited for the log, or will not. Any thread.</summary>
    public void LogMoved()
    {
        // Between the log's new position and the look for who waits: whoever begins to wait does the same the other way round.
        Interlocked.MemoryBarrier();
        if (!_hasGated)
            return;
        _durableMoved = true;
        SignalFromOutside();
    }

    /// <summary>Stops accepting, sends what may still leave, closes all connections, and ends the thread.</summary>
    public void Dispose()
    {
        Check.That(!_stopping, "a loop is disposed once");
        _stopping = true;
        Signal();
        if (_thread.IsAlive)
            _thread.Join();
        lock (_wakeLock)
            _wakeIsClosed = true;
        LinuxCalls.Close(_wake);
        LinuxCalls.Close(_epoll);
        NativeMemory.Free(_events);
    }

    private static int Require(int result, string call) =>
        result >= 0 ? result : throw new Win32Exception(Marshal.GetLastPInvokeError(), call + " failed");

    private void SignalFromOutside()
    {
        if (Environment.CurrentManagedThreadId != _thread.ManagedThreadId)
            Signal();
    }

    private void Signal()
    {
        if (Interlocked.Exchange(ref _signalled, 1) != 0)
            return;

        // The log moves once more after the loops are gone: by then the number may be a data file's.
        lock (_wakeLock)
        {
            if (!_wakeIsClosed)
                LinuxCalls.Signal(_wake);
        }
    }

    private void Run()
    {
        ThreadSlice.AskForShort();
        try
        {
            while (!_stopping)
                Turn();
            CloseAll();
        }
        catch (Exception e)
        {
            // A loop that dies would leave its clients hanging: stop the process, loudly.
            Environment.FailFast("the event loop met a defect", e);
        }
    }

    private void Turn()
    {
        int count = _wait.Next(_epoll, _events, EventsMax, Timeout());
        _nowMs = Environment.TickCount64;
        for (int i = 0; i < count; i++)
        {
            byte* record = _events + (i * LinuxCalls.EventBytes);
            Dispatch(*(int*)record, *(ulong*)(record + LinuxCalls.EventDataOffset));
            if (!_commitNeeded && _server.Statistics.Commands >= _commandsAtSend + CommandsPerSend)
                Settle();
        }

        TakeArrivals();
        TakeWakes();
        if (_suspended.Count != 0)
            ResumeSuspended();
        Settle();
        if (_held.Count != 0)
            SendHeld();
        if (_nowMs >= _nextCronMs)
            Cron();
        if (_finishing)
            FinishAll();
    }

    /// <summary>Microseconds until something is due by the clock.</summary>
    private long Timeout()
    {
        if (!_woken.IsEmpty || _durableMoved)
            return 0;
        long wait = Math.Clamp(_nextCronMs - Environment.TickCount64, 0, CronMs) * 1000;
        if (_held.Count != 0)
            wait = Math.Min(wait, HeldMicroseconds);
        if (_suspended.Count == 0)
            return wait;
        long now = WallMicroseconds();
        for (int i = 0; i < _suspended.Count; i++)
        {
            long deadline = _suspended[i].Session.Suspended?.DeadlineMicroseconds ?? 0;
            wait = Math.Min(wait, Math.Max(deadline - now, 100));
        }

        return wait;
    }

    private void Dispatch(int events, ulong token)
    {
        if (token == WakeToken)
        {
            LinuxCalls.DrainSignal(_wake);
            Volatile.Write(ref _signalled, 0);
            return;
        }

        if ((token & LoopListeners.Tokens) != 0)
        {
            Accept((int)(token & int.MaxValue));
            return;
        }

        EpollConnection? connection = _slots[(int)(uint)token];
        if (connection is null || connection.Token != token)
            return;
        if ((events & (LinuxCalls.EpollIn | LinuxCalls.EpollHangUp | LinuxCalls.EpollError)) != 0)
            Receive(connection);
        else if ((events & LinuxCalls.EpollReadHangUp) != 0)
            HangUp(connection);
        if ((events & LinuxCalls.EpollOut) != 0 && !connection.IsClosed)
            MarkDirty(connection);
    }

    private void Receive(EpollConnection connection)
    {
        RespSession session = connection.Session;
        if (session.IsRunning || connection.AwaitsRun || connection.IsBatched)
            return;
        if (connection.LingersUntilMs != 0)
        {
            Discard(connection);
            return;
        }

        SessionInput input = session.Input;
        int wanted = session.Parser.BytesWanted;
        Span<byte> room = _arrays.Room(input, wanted).Span;
        nint received = LinuxCalls.Receive(connection.FileDescriptor, room[..Math.Min(room.Length, Math.Max(wanted, ReadBytesPerTurn))]);
        if (received <= 0)
        {
            int error = received == 0 ? 0 : Marshal.GetLastPInvokeError();
            _arrays.Settle(input, wanted);
            if (received == 0 && IsOwedReplies(session))
            {
                // It may have closed its side only, and replies that wait for the disk are still owed.
                session.ClosesAfterReplies = true;
                connection.IsHalfClosed = true;
                MarkDirty(connection);
            }
            else if (error is not (LinuxCalls.TryAgain or LinuxCalls.Interrupted))
            {
                Close(connection);
            }

            return;
        }

        input.Received((int)received);
        connection.LastActiveMs = _nowMs;
        _server.Statistics.Received((int)received);
        if (input.Length > _server.Limits.InputMax)
        {
            Close(connection);
            return;
        }

        Execute(connection);
    }

    private void Execute(EpollConnection connection)
    {
        if (_server.Router is not null)
        {
            Batch(connection);
            return;
        }

        connection.Session.Execute();
        Executed(connection);
    }

    private void Executed(EpollConnection connection)
    {
        if (connection.Session.IsRunning)
        {
            connection.AwaitsRun = true;
            return;
        }

        AfterRun(connection);
    }

    private void AfterRun(EpollConnection connection)
    {
        RespSession session = connection.Session;
        _arrays.Settle(session.Input, session.Parser.BytesWanted);
        if (session.Output.AwaitsLog)
        {
            _commitNeeded = true;
            if (!connection.IsGated)
            {
                connection.IsGated = true;
                _gated.Add(connection);
                if (_gated.Count == 1)
                {
                    _hasGated = true;
                    Interlocked.MemoryBarrier();
                }
            }
        }

        if (session.Suspended is not null && !connection.IsSuspended)
        {
            connection.IsSuspended = true;
            _suspended.Add(connection);
        }

        MarkDirty(connection);
    }

    private void MarkDirty(EpollConnection connection)
    {
        if (connection.IsDirty)
            return;
        connection.IsDirty = true;
        _dirty.Add(connection);
    }

    /// <summary>Commits once for the whole turn, then sends.</summary>
    private void Settle()
    {
        if (_batch.Count != 0)
            RunBatch();
        if (_server.Router is { Forwarder: { HasUnsent: true } forwarder })
            forwarder.Flush();
        if (_commitNeeded)
        {
            _commitNeeded = false;
            LogGate.Commit(_server, _commitInline);
        }
        else
        {
            MaybeHandOver();
        }

        SendDirty();
        _commandsAtSend = _server.Statistics.Commands;
        if (_durableMoved)
        {
            _durableMoved = false;
            SendGated();
        }

        if (_server.ClientMemory.IsOver)
            _server.Node.Mailbox.Post(_server.ClientMemory);
    }

    /// <summary>Writes that nobody waits for: the log decides whether there are enough of them for the system.</summary>
    private void MaybeHandOver()
    {
        LogPosition appended = LogGate.Appended(_server);
        if (appended == _appended)
            return;
        _appended = appended;
        LogGate.Commit(_server, inline: false);
    }

    private void TakeWakes()
    {
        if (_woken.IsEmpty)
            return;
        // Only those that are there now: a wake made by a wake waits for the next turn.
        for (int left = _woken.Count; left > 0 && _woken.TryDequeue(out EpollConnection? connection); left--)
        {
            Volatile.Write(ref connection.WakePending, 0);
            if (connection.IsClosed)
                continue;
            RespSession session = connection.Session;
            if (session.IsRunning)
                continue;
            if (session.ClosesNow)
            {
                Close(connection);
                continue;
            }

            if (connection.AwaitsRun)
            {
                connection.AwaitsRun = false;
                AfterRun(connection);
            }

            if (session.HasMore || session.Suspended is not null)
                Execute(connection);
            MarkDirty(connection);
        }
    }

    private void Accept(int listener)
    {
        for (int i = 0; i < 256 && !_stopping; i++)
        {
            AcceptResult result = _acceptor.Accept(listener, out AcceptedSocket socket);
            if (result == AcceptResult.NoneLeft)
                return;
            if (result == AcceptResult.NoFiles)
            {
                // Nothing can be accepted until something closes: look away for a moment instead of spinning.
                _listeners.Pause();
                return;
            }

            if (result == AcceptResult.Accepted && !_acceptor.Distribute(this, socket))
                Open(socket);
        }
    }

    private void TakeArrivals()
    {
        while (_arrivals.TryDequeue(out AcceptedSocket socket))
            Open(socket);
    }

    private void Open(AcceptedSocket socket)
    {
        int slot = _freeSlots.TryPop(out int free) ? free : _slots.Count;
        if (slot == _slots.Count)
            _slots.Add(null);
        ulong token = ((ulong)(++_generation & int.MaxValue) << 32) | (uint)slot;
        EpollConnection connection = new(socket.FileDescriptor, token, this) { LastActiveMs = _nowMs, Interest = LinuxCalls.EpollIn };
        RespSession session = new(_server, this, socket.RemoteAddress, socket.LocalAddress) { Connection = connection };
        session.Client.FileDescriptor = socket.FileDescriptor;
        connection.Session = session;
        if (LinuxCalls.EpollControl(_epoll, LinuxCalls.EpollAdd, socket.FileDescriptor, LinuxCalls.EpollIn, token) < 0)
        {
            LinuxCalls.Close(socket.FileDescriptor);
            _freeSlots.Push(slot);
            _acceptor.Released();
            return;
        }

        _slots[slot] = connection;
        ConnectionCount++;
        _server.Opened(session);
    }

    private void Cron()
    {
        _nextCronMs = _nowMs + CronMs;
        _server.Statistics.Sample(_nowMs);
        _listeners.Resume();
        if (_gated.Count != 0)
            SendGated();
        int slice = Math.Min(Math.Max(_slots.Count / 10, 50), _slots.Count);
        long idleMs = _server.Limits.IdleSeconds * 1000L;
        for (int i = 0; i < slice; i++)
        {
            if (_cronSlot >= _slots.Count)
                _cronSlot = 0;
            if (_slots[_cronSlot++] is { } connection && !connection.Session.IsRunning)
                Tend(connection, idleMs);
        }
    }

    private void Tend(EpollConnection connection, long idleMs)
    {
        RespSession session = connection.Session;
        if (connection.LingersUntilMs != 0 && _nowMs > connection.LingersUntilMs)
        {
            Close(connection);
            return;
        }

        if (idleMs > 0 && _nowMs - connection.LastActiveMs > idleMs && !session.Subscriptions.Any && session.Suspended is null)
        {
            Close(connection);
            return;
        }

        session.Tend(_nowMs, _nowMs - connection.LastActiveMs);
        if (connection.IsBeyond(_server.Limits, _nowMs))
            Close(connection);
    }
}
