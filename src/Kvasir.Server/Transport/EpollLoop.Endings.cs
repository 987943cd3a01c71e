using System.Runtime.InteropServices;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Transport;

/// <content>How connections end.</content>
internal sealed unsafe partial class EpollLoop
{
    private const int LingerMs = 5000;

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
    /// For one that was told what is wrong with what it sends. Closing while bytes are on their way to us would reset the
    /// connection, and the reason would be lost with it: what still comes is thrown away for a moment.
    /// </summary>
    private void Linger(EpollConnection connection)
    {
        if (connection.LingersUntilMs != 0)
            return;
        connection.LingersUntilMs = _nowMs + LingerMs;
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
