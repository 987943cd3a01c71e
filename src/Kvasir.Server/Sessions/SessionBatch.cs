using Kvasir.Cluster.Replicas;

namespace Kvasir.Server.Sessions;

/// <summary>
/// Sessions whose commands run in one item of the mailbox, each as by itself. Used again by its owner once it is done.
/// </summary>
internal sealed class SessionBatch : IMailboxItem
{
    private readonly List<RespSession> _sessions = [];
    private volatile bool _isRunning;

    /// <summary>All of its sessions have run. Any thread.</summary>
    public bool IsDone => !_isRunning;

    /// <summary>By its owner, while it is done.</summary>
    public void Add(RespSession session) => _sessions.Add(session);

    /// <summary>As <see cref="RespSession.Execute"/> of each: those that run on when it returns are woken later.</summary>
    public void Execute(ReplicaMailbox mailbox)
    {
        if (_sessions.Count == 0)
            return;
        foreach (RespSession session in _sessions)
            session.BeginRun();
        _isRunning = true;
        mailbox.Post(this);
    }

    public void Run(Execution execution)
    {
        foreach (RespSession session in _sessions)
            session.Run(execution);
        _sessions.Clear();
        _isRunning = false;
    }
}
