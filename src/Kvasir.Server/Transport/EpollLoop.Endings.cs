using System.Runtime.InteropServices;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Transport;

/// <content>How connections end.</content>
internal sealed unsafe partial class EpollLoop
{
    private const int LingerMs = 5000;

    // At a stop: who was served so lately may have sent more, and is given so long to see that nobody reads it.
    private const int ActiveMs = 1000;
    private const int LastLingerMs = 200;

    private readonly TaskCompletionSource _finished = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _finishing;

    /// <summary>
    /// Takes nothing more from clients: each connection ends when its client has the replies to all that had come from it. Completes
    /// when all have ended. Any thread, once; the loop runs, and its listeners are ignored.
    /// </summary>
    public Task Finish()
    {
        _finishing = true;
        Signal();
        return _finished.Task;
    }

    /// <summary>Whoever has nothing left to run is owed replies at most, and ends behind them.</summary>
    private void FinishAll()
    {
        for (int i = 0; i < _slots.Count; i++)
        {
            if (_slots[i] is not { } connection || connection.Session.IsRunning || connection.AwaitsRun)
                continue;
            if (connection.LingersUntilMs != 0)
            {
                if (_nowMs > connection.LingersUntilMs)
                    Close(connection);
                continue;
            }

            // What waits for a leader or for room goes on in a moment. WAIT, or a client's PAUSE, may take for ever.
            RespSession session = connection.Session;
            if (session.HasMore || session.Suspended is DelaySuspension)
                continue;
            session.ClosesAfterReplies = true;
            Send(connection);
        }

        if (ConnectionCount == 0 && _arrivals.IsEmpty)
            _finished.TrySetResult();
    }

    /// <summary>All that was owed has left: closes, or lingers where the close could take it back on its way.</summary>
    private void End(EpollConnection connection)
    {
        if (connection.Session.Parser.Error is not null || (_finishing && _nowMs - connection.LastActiveMs < ActiveMs))
            Linger(connection);
        else
            Close(connection);
    }

    /// <summary>The other side has closed, or half closed, while nothing is read from it.</summary>
    private void HangUp(EpollConnection connection)
    {
        RespSession session = connection.Session;
        if (!session.IsRunning && !connection.AwaitsRun && (session.Suspended is not null || !IsOwedReplies(session)))
        {
            Close(connection);
            return;
        }

        // Told once, for as long as it is so. Whether it is gone for good shows when something is sent.
        connection.IsHalfClosed = true;
        connection.Interest &= ~LinuxCalls.EpollReadHangUp;
        _ = LinuxCalls.EpollControl(_epoll, LinuxCalls.EpollModify, connection.FileDescriptor, connection.Interest, connection.Token);
    }

    private static bool IsOwedReplies(RespSession session) => session.HasMore || session.Output.HasGates || session.Output.Length != 0;

    /// <summary>
    /// For one that was told what is wrong with what it sends, or whose server stops. Closing while bytes are on their way to us would reset the
    /// connection, and the reply would be lost with it: what still comes is thrown away for a moment.
    /// </summary>
    private void Linger(EpollConnection connection)
    {
        if (connection.LingersUntilMs != 0)
            return;
        connection.LingersUntilMs = _nowMs + (_finishing ? LastLingerMs : LingerMs);
        connection.Interest = LinuxCalls.EpollIn;
        LinuxCalls.ShutdownSend(connection.FileDescriptor);
        _ = LinuxCalls.EpollControl(_epoll, LinuxCalls.EpollModify, connection.FileDescriptor, connection.Interest, connection.Token);
    }

    private void Discard(EpollConnection connection)
    {
        byte[] spare = _arrays.Take();
        nint received = LinuxCalls.Receive(connection.FileDescriptor, spare);
        bool ended = received == 0 || (received < 0 && Marshal.GetLastPInvokeError() is not (LinuxCalls.TryAgain or LinuxCalls.Interrupted));
        _arrays.Return(spare);
        if (ended)
            Close(connection);
    }

    private void Close(EpollConnection connection)
    {
        if (connection.IsClosed)
            return;
        connection.IsClosed = true;
        int slot = (int)(uint)connection.Token;
        _slots[slot] = null;
        _freeSlots.Push(slot);
        ConnectionCount--;
        LinuxCalls.Close(connection.FileDescriptor);
        connection.Session.ClosesNow = true;
        SessionInput input = connection.Session.Input;
        if (connection.Session.IsRunning)
        {
            _arrays.Abandon(input);
        }
        else
        {
            input.Executed(input.Length);
            _arrays.Settle(input, wanted: 0);
        }

        _server.Node.Mailbox.Post(new SessionClosing(connection.Session));
        _acceptor.Released();
    }

    private void CloseAll()
    {
        Settle();
        SendGated();
        foreach (EpollConnection? connection in _slots.ToArray())
        {
            if (connection is null)
                continue;
            SpinWait spin = default;
            while (connection.Session.IsRunning)
                spin.SpinOnce();
            Send(connection);
            Close(connection);
        }

        while (_arrivals.TryDequeue(out AcceptedSocket socket))
            LinuxCalls.Close(socket.FileDescriptor);
    }
}
