namespace Kvasir.Server.Sessions;

/// <summary>
/// What one client takes of the memory. Inside the mailbox; its owner may be receiving or sending meanwhile, and then it is a
/// moment's figure.
/// </summary>
internal static class SessionMemory
{
    // Measured with thousands of idle connections: the session, its parser, its owner's part.
    private const int ConnectionBytes = 1728;

    // A name in two tables, with the array it is in and a list of those who asked for it.
    private const int NameBytes = 160;

    public static long Of(RespSession session) =>
        ConnectionBytes + Input(session) + session.Output.MemoryBytes + session.ScratchBytes
        + session.Parser.MemoryBytes + Multi(session) + (NameBytes * Names(session));

    /// <summary>An argument counts from when its length is known, as in Redis: the next bytes are received into an array for all of it.</summary>
    private static long Input(RespSession session) =>
        session.Parser.IsInside ? Math.Max(session.Input.MemoryBytes, session.Parser.BytesWanted) : session.Input.MemoryBytes;

    /// <summary>What MULTI has queued, and what WATCH remembers.</summary>
    public static long Multi(RespSession session) =>
        session.Transaction.QueuedBytes + session.Transaction.WatchedBytes + (NameBytes * session.Transaction.Watched.Count);

    /// <summary>Arguments of a command that runs, waits, or has come in part. They are counted with the input that they lie in.</summary>
    public static long Arguments(RespSession session)
    {
        if (session.Input.Length == 0 || !(session.Parser.IsInside || session.IsInCommand))
            return 0;
        long bytes = 0;
        for (int i = 0; i < session.Parser.ArgumentCount; i++)
            bytes += session.Parser.Arguments[i].Length;
        return bytes;
    }

    private static long Names(RespSession session) =>
        session.Subscriptions.Count + session.Subscriptions.ShardChannels.Count + (session.Client.Tracking?.Prefixes.Count ?? 0);
}
