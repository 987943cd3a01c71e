using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Simulation.Clusters;

/// <summary>An entry of a log, with its bytes.</summary>
internal sealed record SimulatedEntry(Term Term, EntryKind Kind, byte[] Data, Configuration? Configuration)
{
    /// <summary>Of the content, so that two logs are compared by numbers.</summary>
    public ulong Hash { get; } = StableHash.Hash64(Data, (Term.Value << 2) ^ (ulong)Kind ^ ((ulong)(Configuration?.GetHashCode() ?? 0) << 20));

    /// <summary>Of this entry and all before it.</summary>
    public static ulong Chain(ulong before, ulong hash)
    {
        ulong z = (before ^ hash) * 0xD6E8FEB86659FD93;
        return z ^ (z >> 32);
    }
}

/// <summary>A state machine's content at an index, and what a log that begins behind it must know.</summary>
internal sealed record SimulatedImage(LogIndex Index, Term Term, ConfigurationEntry Configuration, ulong Chain, byte[] State);
