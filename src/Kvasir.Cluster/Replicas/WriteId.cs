namespace Kvasir.Cluster.Replicas;

/// <summary>
/// Names one write that another node sends here for its client, so that it is known again when it comes a second time (Ongaro's
/// thesis, 6.3).
/// </summary>
/// <param name="Session">A stream of requests of one node on one shard: never drawn again.</param>
/// <param name="Sequence">The command's number in it.</param>
public readonly record struct WriteId(ulong Session, ulong Sequence);
