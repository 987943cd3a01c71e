using System.Diagnostics.CodeAnalysis;
using Kvasir.Primitives;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Membership;

/// <summary>
/// The bytes of a configuration, in the log, in snapshots and on the wire: a version, then voters, learners and outgoing voters,
/// each as a count and its members in ascending order; all numbers in LEB128. docs/formats/raft-configuration.md.
/// </summary>
public static class ConfigurationCodec
{
    private const ulong FormatVersion = 1;

    /// <summary>Members in one list, at most; what claims more is damaged.</summary>
    private const ulong MembersMax = 1024;

    public static int Length(Configuration configuration) =>
        Varint.Length(FormatVersion) + Length(configuration.Voters) + Length(configuration.Learners) + Length(configuration.Outgoing);

    /// <summary>Writes <see cref="Length(Configuration)"/> bytes.</summary>
    public static int Write(Span<byte> destination, Configuration configuration)
    {
        int at = Varint.Write(destination, FormatVersion);
        at += Write(destination[at..], configuration.Voters);
        at += Write(destination[at..], configuration.Learners);
        return at + Write(destination[at..], configuration.Outgoing);
    }

    /// <summary>False when the bytes are not exactly one configuration of a known version.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, [NotNullWhen(true)] out Configuration? configuration)
    {
        configuration = null;
        if (!TryNumber(ref source, out ulong version) || version != FormatVersion
            || !TryMembers(ref source, out MemberId[] voters) || voters.Length > Configuration.VotersMax
            || !TryMembers(ref source, out MemberId[] learners)
            || !TryMembers(ref source, out MemberId[] outgoing) || outgoing.Length > Configuration.VotersMax
            || source.Length > 0)
            return false;
        if (voters.Length == 0 && (learners.Length > 0 || outgoing.Length > 0))
            return false;
        foreach (MemberId learner in learners)
        {
            if (voters.AsSpan().Contains(learner))
                return false;
        }

        configuration = new Configuration(voters, learners, outgoing);
        return true;
    }

    private static int Length(ReadOnlySpan<MemberId> members)
    {
        int length = Varint.Length((ulong)members.Length);
        foreach (MemberId member in members)
            length += Varint.Length(member.Value);
        return length;
    }

    private static int Write(Span<byte> destination, ReadOnlySpan<MemberId> members)
    {
        int at = Varint.Write(destination, (ulong)members.Length);
        foreach (MemberId member in members)
            at += Varint.Write(destination[at..], member.Value);
        return at;
    }

    private static bool TryMembers(ref ReadOnlySpan<byte> source, out MemberId[] members)
    {
        members = [];
        if (!TryNumber(ref source, out ulong count) || count > MembersMax || count > (ulong)source.Length)
            return false;
        members = new MemberId[count];
        for (int i = 0; i < members.Length; i++)
        {
            if (!TryNumber(ref source, out ulong id) || id == 0 || (i > 0 && id <= members[i - 1].Value))
                return false;
            members[i] = new MemberId(id);
        }

        return true;
    }

    /// <summary>Only the shortest spelling of a number is one: equal configurations have equal bytes.</summary>
    private static bool TryNumber(ref ReadOnlySpan<byte> source, out ulong value)
    {
        if (!Varint.TryRead(source, out value, out int length) || length != Varint.Length(value))
            return false;
        source = source[length..];
        return true;
    }
}
