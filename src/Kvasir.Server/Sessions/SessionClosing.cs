using Kvasir.Cluster.Replicas;

namespace Kvasir.Server.Sessions;

/// <summary>Forgets, inside the mailbox, all that the server knew of a session.</summary>
internal sealed class SessionClosing(RespSession session) : IMailboxItem
{
    public void Run(Execution execution) => session.Server.Closed(session);
}
