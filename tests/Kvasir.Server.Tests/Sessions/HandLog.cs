using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;

namespace Kvasir.Server.Tests.Sessions;

/// <summary>A log that is durable as far as the test says.</summary>
internal sealed class HandLog : IReplicaLog
{
    public WriteRefusal? Refusal => null;

    public bool IsStopped => false;

    public LogPosition AppendedPosition => DurablePosition;

    public LogPosition AwaitedPosition => DurablePosition;

    public LogPosition DurablePosition { get; set; }

    public LogPosition Append(ReadOnlySpan<byte> payload, Durability durability) => throw new NotSupportedException();
}
