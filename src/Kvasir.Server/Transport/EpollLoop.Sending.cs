using System.Runtime.InteropServices;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Transport;

/// <content>Replies on their way out.</content>
internal sealed unsafe partial class EpollLoop
{
    private void SendDirty()
    {
        for (int i = 0; i < _dirty.Count; i++)
        {
            EpollConnection connection = _dirty[i];
            connection.IsDirty = false;
            if (!connection.IsClosed && !connection.Session.IsRunning)
                Send(connection);
        }

        _dirty.Clear();
    }

    private void SendGated()
    {
        int kept = 0;
        for (int i = 0; i < _gated.Count; i++)
        {
            EpollConnection connection = _gated[i];
            if (!connection.IsClosed && !connection.Session.IsRunning)
                Send(connection);
            if (!connection.IsClosed && (connection.Session.IsRunning || connection.Session.Output.AwaitsLog))
                _gated[kept++] = connection;
            else
                connection.IsGated = false;
        }

        _gated.RemoveRange(kept, _gated.Count - kept);
        _hasGated = kept != 0;
    }

    private void Send(EpollConnection connection)
    {
        RespSession session = connection.Session;
        if (session.ClosesNow)
        {
            Close(connection);
            return;
        }

        while (true)
        {
            Memory<byte> bytes = session.Sendable();
            if (bytes.IsEmpty)
                break;
            nint sent = LinuxCalls.Send(connection.FileDescriptor, bytes.Span);
            if (sent < 0)
            {
                int error = Marshal.GetLastPInvokeError();
                if (error == LinuxCalls.Interrupted)
                    continue;
                if (error != LinuxCalls.TryAgain)
                {
                    Close(connection);
                    return;
                }

                AwaitRoom(connection);
                return;
            }

            session.Output.Sent((int)sent);
            _server.Statistics.Sent((int)sent);
            if (sent < bytes.Length)
            {
                AwaitRoom(connection);
                return;
            }
        }

        if (session.ClosesAfterReplies && session.Output.Length == 0 && !session.Output.HasGates)
        {
            if (session.Parser.Error is null)
                Close(connection);
            else
                Linger(connection);
            return;
        }

        Watch(connection, writable: false);
        if (session.HasMore && session.Suspended is null)
            Wake(session);
    }

    /// <summary>The other side does not read as fast as it is sent to.</summary>
    private void AwaitRoom(EpollConnection connection)
    {
        Watch(connection, writable: true);
        if (connection.IsBeyond(_server.Limits, _nowMs))
            Close(connection);
    }

    /// <summary>Reads on unless the session has enough to do; reports room to write only while something waits for it.</summary>
    private void Watch(EpollConnection connection, bool writable)
    {
        RespSession session = connection.Session;
        bool readable = session.Suspended is null && !session.HasMore && !session.ClosesAfterReplies;
        int interest = (readable ? LinuxCalls.EpollIn : 0) | (writable ? LinuxCalls.EpollOut : 0);
        if (!readable && !connection.IsHalfClosed)
            interest |= LinuxCalls.EpollReadHangUp;
        if (interest == connection.Interest)
            return;
        connection.Interest = interest;
        _ = LinuxCalls.EpollControl(_epoll, LinuxCalls.EpollModify, connection.FileDescriptor, interest, connection.Token);
    }
}
