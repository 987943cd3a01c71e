using System.Diagnostics;
using System.Runtime.InteropServices;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Transport;

/// <content>Replies on their way out.</content>
internal sealed unsafe partial class EpollLoop
{
    private const int HeldBytesMax = 1400;
    private const long HeldMicroseconds = 300;
    private static readonly long s_heldTicks = Stopwatch.Frequency * HeldMicroseconds / 1_000_000;
    private readonly List<EpollConnection> _held = [];

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
            if (bytes.IsEmpty || HoldsBack(connection, bytes.Length))
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

        if (connection.HeldSince != 0 && session.Output.Length == 0)
            connection.HeldSince = 0;
        if (session.ClosesAfterReplies && session.Output.Length == 0 && !session.Output.HasGates)
        {
            End(connection);
            return;
        }

        Watch(connection, writable: false);
        if (session.HasMore && session.Suspended is null)
            Wake(session);
    }

    /// <summary>
    /// In a cluster the replies to one pipeline come from several shards, one after another. A client that sent together
    /// mostly waits for all of them: a few that are there wait a moment for the others, and leave with them.
    /// </summary>
    private bool HoldsBack(EpollConnection connection, int bytes)
    {
        RespSession session = connection.Session;
        if (_server.Router is null || bytes >= HeldBytesMax || !session.Output.HasGates || session.ClosesAfterReplies)
            return false;
        long now = Stopwatch.GetTimestamp();
        if (connection.HeldSince == 0)
        {
            connection.HeldSince = now;
            if (!connection.IsHeld)
            {
                connection.IsHeld = true;
                _held.Add(connection);
            }

            return true;
        }

        if (now - connection.HeldSince < s_heldTicks)
            return true;
        connection.HeldSince = 0;
        return false;
    }

    private void SendHeld()
    {
        long now = Stopwatch.GetTimestamp();
        int kept = 0;
        for (int i = 0; i < _held.Count; i++)
        {
            EpollConnection connection = _held[i];
            if (!connection.IsClosed && connection.HeldSince != 0 && (connection.Session.IsRunning || now - connection.HeldSince < s_heldTicks))
            {
                _held[kept++] = connection;
                continue;
            }

            connection.IsHeld = false;
            if (!connection.IsClosed && connection.HeldSince != 0)
                Send(connection);
        }

        _held.RemoveRange(kept, _held.Count - kept);
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
