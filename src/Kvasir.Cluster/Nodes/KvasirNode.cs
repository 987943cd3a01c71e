using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// A node: the keyspaces it hosts and the one log they share. The sixteen databases of the Redis protocol are the
/// keyspaces <c>db0</c> to <c>db15</c>; they share one mailbox, so that a MULTI block is atomic across them.
/// </summary>
public sealed class KvasirNode : IDisposable
{
    private readonly Replica[] _databases;
    private readonly Execution _execution;

    /// <summary>A node over a log and engines that the caller has already recovered.</summary>
    public KvasirNode(IReplicaLog log, IEnumerable<Replica> databases)
    {
        Log = log;
        _databases = [.. databases];
        _execution = new Execution(log);
        Mailbox = new ReplicaMailbox(_execution);
    }

    public IReplicaLog Log { get; }

    public ReplicaMailbox Mailbox { get; }

    public int DatabaseCount => _databases.Length;

    /// <summary>The replica that a database index stands for now.</summary>
    public Replica Database(int index)
    {
        Check.That((uint)index < (uint)_databases.Length);
        return _databases[index];
    }

    /// <summary>Lets two database indexes trade places.</summary>
    public void SwapDatabases(Execution execution, int first, int second)
    {
        Check.That((uint)first < (uint)_databases.Length && (uint)second < (uint)_databases.Length);
        (_databases[first], _databases[second]) = (_databases[second], _databases[first]);
    }

    public void Dispose()
    {
        foreach (Replica replica in _databases)
            replica.Engine.Dispose();
    }
}
