using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;

namespace Kvasir.Server.Sessions;

/// <summary>A write that was sent before, and nobody knows whether it has happened.</summary>
/// <param name="At">The number of its command in the stream that brings it again.</param>
/// <param name="Id">As it was when it came for the first time.</param>
/// <param name="Known">Up to here its shard's log was committed before that.</param>
internal readonly record struct RepeatedWrite(ulong At, WriteId Id, LogPosition Known);
