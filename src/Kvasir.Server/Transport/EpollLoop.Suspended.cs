using Kvasir.Server.Sessions;

namespace Kvasir.Server.Transport;

/// <content>Connections whose sessions wait: for room for a write, the end of a pause, a leader.</content>
internal sealed unsafe partial class EpollLoop
{
    private readonly WaitingLine<EpollConnection> _suspended = new(static c => c.Session.CommandsExecuted);
    private readonly Func<EpollConnection, bool> _resume;
    private volatile bool _roomMade;
    private long _resumesAt;

    /// <summary>Whoever waits for room for a write asks again now, and not when its pause is over. Any thread.</summary>
    public void RoomMade()
    {
        _roomMade = true;
        SignalFromOutside();
    }

    private long WallMicroseconds() => (_server.Time.GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond;

    private void ResumeSuspended()
    {
        if (_roomMade)
            EndPauses();
        _resumesAt = WallMicroseconds();
        _suspended.Resume(_resume);
    }

    private void EndPauses()
    {
        _roomMade = false;
        for (int i = 0; i < _suspended.Count; i++)
        {
            if (_suspended[i] is { IsClosed: false, Session: { IsRunning: false, Suspended: DelaySuspension pause } })
                pause.End();
        }
    }

    private bool StaysSuspended(EpollConnection connection)
    {
        // Looked at once: it may run on another thread, which ends whenever it likes. A wake follows then.
        bool isRunning = connection.Session.IsRunning;
        if (!connection.IsClosed && !isRunning && connection.Session.Suspended is { } suspension && suspension.DeadlineMicroseconds <= _resumesAt)
        {
            Execute(connection);
            isRunning = connection.Session.IsRunning;
        }

        return connection.IsSuspended = !connection.IsClosed && (isRunning || connection.Session.Suspended is not null);
    }
}
