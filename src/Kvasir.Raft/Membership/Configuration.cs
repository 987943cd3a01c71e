using System.Text;
using Kvasir.Primitives;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Membership;

/// <summary>
/// Who belongs to a group. While <see cref="Outgoing"/> has members the configuration is joint: what needs a majority
/// needs one of <see cref="Voters"/> and one of <see cref="Outgoing"/> (thesis, 4.3). Learners get the log and count for
/// nothing. A voter that becomes a learner is in <see cref="Outgoing"/> and in <see cref="Learners"/> until the joint
/// configuration is left. Immutable; the lists are sorted.
/// </summary>
public sealed class Configuration : IEquatable<Configuration>
{
    /// <summary>Voters in one half, at most: quorums are counted on the stack.</summary>
    public const int VotersMax = 32;

    /// <summary>That of a member that has not heard of its group yet: nobody votes.</summary>
    public static readonly Configuration Empty = new([], [], []);

    private readonly MemberId[] _voters;
    private readonly MemberId[] _learners;
    private readonly MemberId[] _outgoing;
    private readonly MemberId[] _members;

    public Configuration(ReadOnlySpan<MemberId> voters, ReadOnlySpan<MemberId> learners = default, ReadOnlySpan<MemberId> outgoing = default)
    {
        Check.That(voters.Length <= VotersMax && outgoing.Length <= VotersMax);
        Check.That(voters.Length > 0 || (learners.Length == 0 && outgoing.Length == 0));
        _voters = Sorted(voters);
        _learners = Sorted(learners);
        _outgoing = Sorted(outgoing);
        foreach (MemberId learner in _learners)
            Check.That(!Contains(_voters, learner), $"member {learner} cannot vote and learn");
        _members = learners.Length == 0 && outgoing.Length == 0 ? _voters : Union(_voters, _learners, _outgoing);
    }

    public ReadOnlySpan<MemberId> Voters => _voters;

    public ReadOnlySpan<MemberId> Learners => _learners;

    /// <summary>The voters of the configuration that is being left; empty unless joint.</summary>
    public ReadOnlySpan<MemberId> Outgoing => _outgoing;

    /// <summary>Everybody once, in order.</summary>
    public ReadOnlySpan<MemberId> Members => _members;

    public bool IsJoint => _outgoing.Length > 0;

    public bool IsVoter(MemberId id) => Contains(_voters, id) || Contains(_outgoing, id);

    public bool IsLearner(MemberId id) => Contains(_learners, id);

    public bool IsMember(MemberId id) => Contains(_members, id);

    /// <summary>True when this member alone is every majority.</summary>
    public bool IsSoleVoter(MemberId id) =>
        _voters.Length == 1 && _voters[0] == id && (_outgoing.Length == 0 || (_outgoing.Length == 1 && _outgoing[0] == id));

    /// <summary>The configuration that follows this joint one.</summary>
    public Configuration LeaveJoint()
    {
        Check.That(IsJoint);
        return new Configuration(_voters, _learners);
    }

    public bool Equals(Configuration? other) =>
        other is not null && Voters.SequenceEqual(other.Voters) && Learners.SequenceEqual(other.Learners)
        && Outgoing.SequenceEqual(other.Outgoing);

    public override bool Equals(object? obj) => Equals(obj as Configuration);

    public override int GetHashCode()
    {
        ulong hash = 17;
        foreach (MemberId id in _members)
            hash = (hash * 31) + id.Value;
        return (int)hash;
    }

    /// <summary>As in <c>(1 2 3)&amp;(1 2 4) learners(5)</c>, incoming half first.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        Write(text, _voters);
        if (IsJoint)
            Write(text.Append('&'), _outgoing);
        if (_learners.Length > 0)
            Write(text.Append(" learners"), _learners);
        return text.ToString();
    }

    private static void Write(StringBuilder text, MemberId[] ids)
    {
        text.Append('(');
        for (int i = 0; i < ids.Length; i++)
            text.Append(i == 0 ? "" : " ").Append(ids[i]);
        text.Append(')');
    }

    private static bool Contains(MemberId[] ids, MemberId id)
    {
        foreach (MemberId member in ids)
        {
            if (member == id)
                return true;
        }

        return false;
    }

    private static MemberId[] Sorted(ReadOnlySpan<MemberId> ids)
    {
        MemberId[] sorted = ids.ToArray();
        Array.Sort(sorted);
        for (int i = 0; i < sorted.Length; i++)
            Check.That(!sorted[i].IsNone && (i == 0 || sorted[i - 1] < sorted[i]), $"member {sorted[i]} is nobody or named twice");
        return sorted;
    }

    private static MemberId[] Union(MemberId[] a, MemberId[] b, MemberId[] c)
    {
        MemberId[] all = [.. a, .. b, .. c];
        Array.Sort(all);
        int count = 0;
        for (int i = 0; i < all.Length; i++)
        {
            if (i == 0 || all[i] != all[i - 1])
                all[count++] = all[i];
        }

        return all[..count];
    }
}

/// <summary>A configuration and the log entry that holds it; index zero for the one that a group is founded with.</summary>
public readonly record struct ConfigurationEntry(LogIndex Index, Term Term, Configuration Configuration);
