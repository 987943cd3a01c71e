namespace Kvasir.Server.Sessions;

/// <summary>Who carries a session's bytes: an event loop, a Kestrel connection, a test.</summary>
internal interface ISessionOwner
{
    /// <summary>
    /// Something happened that concerns the session: a message for it, its commands ran on another thread, it may go on, or
    /// it is to be closed. Any thread; returns at once.
    /// </summary>
    void Wake(RespSession session);

    /// <summary>
    /// The same, but it need not happen before the owner is told that no more of them follow: many that are woken together
    /// cost one signal. Any thread.
    /// </summary>
    void WakeLater(RespSession session) => Wake(session);
}
