using Kvasir.Cluster.Groups;

namespace Kvasir.Server.Sessions;

/// <summary>Sessions whose next command waits for a shard's leader, or for the leader's proof that it is one. In the mailbox.</summary>
internal sealed class RouteWaiters(ServerState server)
{
    /// <summary>How often one looks again, should nobody wake it.</summary>
    private const int LookMicroseconds = 10_000;

    // Some of them wait no longer: they go when any shard moves.
    private List<RespSession> _waiting = [];
    private List<RespSession> _woken = [];

    /// <summary>Suspends a session until the shard's route may be another.</summary>
    public void Await(RespSession session, GroupId group)
    {
        session.Suspended = session.Delay.Until(server.Clock.NowMicroseconds + LookMicroseconds);
        session.Awaited = group;
        if (session.IsListed)
            return;
        session.IsListed = true;
        _waiting.Add(session);
    }

    /// <summary>The shard has another leader, or reads on it were confirmed.</summary>
    public void Moved(GroupId group)
    {
        // Who is woken may wait again at once, in the other list.
        (_waiting, _woken) = (_woken, _waiting);
        foreach (RespSession session in _woken)
        {
            if (session.Awaited != group && !session.Awaited.IsNone && !session.ClosesNow)
            {
                _waiting.Add(session);
                continue;
            }

            session.IsListed = false;
            if (session.Awaited != group)
                continue;
            session.Awaited = GroupId.None;
            session.Delay.End();
            session.Owner.Wake(session);
        }

        _woken.Clear();
    }
}
