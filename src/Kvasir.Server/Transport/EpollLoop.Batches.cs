using Kvasir.Server.Sessions;

namespace Kvasir.Server.Transport;

/// <content>
/// In a cluster, all sessions of a turn run in one item of the mailbox: their writes share a record of the journal and a message
/// to each follower. A node that is alone needs no such thing: its log gathers by itself.
/// </content>
internal sealed unsafe partial class EpollLoop
{
    private readonly List<EpollConnection> _batch = [];
    private SessionBatch _spareBatch = new();

    private void Batch(EpollConnection connection)
    {
        if (connection.IsBatched)
            return;
        connection.IsBatched = true;
        _batch.Add(connection);
    }

    private void RunBatch()
    {
        // One that runs on another thread still has its sessions.
        if (!_spareBatch.IsDone)
            _spareBatch = new SessionBatch();
        foreach (EpollConnection connection in _batch)
        {
            connection.IsBatched = false;
            if (!connection.IsClosed && !connection.Session.IsRunning)
                _spareBatch.Add(connection.Session);
        }

        _spareBatch.Execute(_server.Node.Mailbox);
        foreach (EpollConnection connection in _batch)
        {
            if (!connection.IsClosed)
                Executed(connection);
        }

        _batch.Clear();
    }
}
