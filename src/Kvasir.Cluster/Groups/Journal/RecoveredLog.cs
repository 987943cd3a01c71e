using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Groups.Journal;

/// <summary>
/// One group's log while the journal is replayed. A trimmed journal may begin in the middle of it: then entries are taken as
/// they come until a descriptor says where the log begins, which it does before the end. Each section is refused, with what
/// is wrong with it, unless it follows from what came before.
/// </summary>
internal sealed class RecoveredLog(GroupId id)
{
    private readonly List<TermRun> _terms = [];

    // Of entries, in order.
    private readonly List<ConfigurationEntry> _configurations = [];

    // What was said right before the section that it is about.
    private uint? _generation;

    // Entries are known in [_first, Log.LastIndex]; zero when the end is not known yet, either.
    private LogIndex _first;

    public GroupLog Log { get; } = new(id);

    /// <summary>It is known where the log begins, and the term and the vote are.</summary>
    public bool IsAnchored { get; private set; }

    private Term LastTerm => _terms.Count > 0 ? _terms[^1].Term : IsAnchored ? Log.BaseTerm : Term.Zero;

    /// <summary>Null, or what is wrong with the section, which stands in the record that begins at this place.</summary>
    public string? Take(SectionKind kind, ReadOnlySpan<byte> content, ulong start)
    {
        uint? generation = _generation;
        _generation = null;
        if (kind is SectionKind.Descriptor or SectionKind.Reset or SectionKind.Removal)
        {
            if (WrongWith(kind, generation ?? 0) is { } wrong)
                return wrong;
        }
        else if (generation is not null)
        {
            return "a generation of nothing";
        }

        switch (kind)
        {
            case SectionKind.Generation:
                return TryGeneration(content) ? null : "a malformed generation";
            case SectionKind.Descriptor:
                return LogDescriptor.TryRead(content, out LogDescriptor descriptor) ? Describe(descriptor, start) : "a malformed descriptor";
            case SectionKind.Reset:
                return LogDescriptor.TryRead(content, out LogDescriptor reset) ? Reset(reset, start) : "a malformed reset";
            case SectionKind.HardState:
                return TryHardState(content, out HardState state) ? SetHardState(state) : "a malformed term and vote";
            case SectionKind.Removal:
                return TryHardState(content, out HardState promised) ? Remove(promised, start) : "a malformed removal";
            case SectionKind.Truncation:
                var numbers = new SectionNumbers(content);
                return numbers.TryNext(out ulong from) && from > 0 && numbers.Rest.IsEmpty ? Truncate(new LogIndex(from)) : "a malformed truncation";
            case SectionKind.Entries:
                return Append(new EntriesReader(content), start, content.Length + 1);
            case SectionKind.Engine:
                return EngineMark.TryRead(content, out EngineMark engine) ? Need(engine) : "a malformed mark of an engine";
            default:
                return $"a section of the unknown kind {(byte)kind}";
        }
    }

    /// <summary>What a member is made from, but for what its engine has applied.</summary>
    public RaftRecovery ToRecovery(NodeId self)
    {
        Check.That(IsAnchored && !Log.IsRemoved);
        var configurations = new List<ConfigurationEntry>(_configurations.Count + 1);

        // Nobody at the base counts only as what is in force before the first configuration of the log.
        if (Log.BaseConfiguration.Configuration.Voters.Length > 0 || _configurations.Count > 0)
            configurations.Add(Log.BaseConfiguration);
        configurations.AddRange(_configurations);
        return new RaftRecovery
        {
            Id = GroupMember.Of(self, Log.Generation),
            HardState = Log.HardState,
            SnapshotIndex = Log.BaseIndex,
            SnapshotTerm = Log.BaseTerm,
            Terms = _terms,
            LastIndex = Log.LastIndex,
            AppliedIndex = Log.BaseIndex,
            Configurations = configurations,
        };
    }

    private static bool TryHardState(ReadOnlySpan<byte> content, out HardState state)
    {
        var numbers = new SectionNumbers(content);
        bool isWhole = numbers.TryNext(out ulong term) & numbers.TryNext(out ulong vote) && numbers.Rest.IsEmpty;
        state = new HardState(new Term(term), new MemberId(vote));
        return isWhole;
    }

    private bool TryGeneration(ReadOnlySpan<byte> content)
    {
        var numbers = new SectionNumbers(content);
        bool isOne = numbers.TryNext(out ulong generation) && generation is > 0 and <= uint.MaxValue && numbers.Rest.IsEmpty;
        _generation = isOne ? (uint)generation : null;
        return isOne;
    }

    /// <summary>Only who was removed comes back as a later one.</summary>
    private string? WrongWith(SectionKind kind, uint generation)
    {
        bool isKnown = IsAnchored || Log.IsRemoved;
        bool mayGrow = Log.IsRemoved && kind == SectionKind.Descriptor;
        if (isKnown && (mayGrow ? generation < Log.Generation : generation != Log.Generation))
            return $"generation {generation} behind generation {Log.Generation}";
        Log.Generation = generation;
        return null;
    }

    private static bool Follows(HardState before, HardState after) =>
        after.Term > before.Term || (after.Term == before.Term && (before.Vote.IsNone || before.Vote == after.Vote));

    private string? Describe(in LogDescriptor descriptor, ulong start)
    {
        if (Log.IsRemoved)
        {
            if (descriptor.BaseIndex > LogIndex.Zero || descriptor.LastIndex > LogIndex.Zero || !Follows(Log.HardState, descriptor.HardState))
                return "a replica that was removed comes back as another one";
        }
        else
        {
            bool isPlaced = IsAnchored || _first > LogIndex.Zero;
            if (isPlaced && WrongWith(descriptor) is { } wrong)
                return wrong;

            // An old one, from before the trim that took its first entries: there is another behind it.
            if (!IsAnchored && descriptor.LastIndex > descriptor.BaseIndex && (!isPlaced || _first > descriptor.BaseIndex.Next))
            {
                if (!isPlaced)
                {
                    _first = descriptor.LastIndex.Next;
                    Log.Append(descriptor.LastIndex);
                }

                return null;
            }
        }

        Log.Describe(descriptor);
        Log.AnchoredAt(start);
        IsAnchored = true;
        _first = descriptor.BaseIndex.Next;
        CompactTerms(descriptor.BaseIndex);
        _configurations.RemoveAll(entry => entry.Index <= Log.BaseIndex);
        return null;
    }

    /// <summary>What a descriptor says must be what was replayed, as far as that is known.</summary>
    private string? WrongWith(in LogDescriptor descriptor)
    {
        if (descriptor.LastIndex != Log.LastIndex)
            return $"the log ends at {Log.LastIndex}, and should at {descriptor.LastIndex}";
        if (IsAnchored && (descriptor.BaseIndex < Log.BaseIndex || descriptor.HardState != Log.HardState))
            return $"the log begins behind {Log.BaseIndex} with {Log.HardState}, and should behind {descriptor.BaseIndex} with {descriptor.HardState}";
        Term term = descriptor.BaseIndex >= _first ? TermAt(descriptor.BaseIndex) : IsAnchored ? Log.BaseTerm : descriptor.BaseTerm;
        if (term != descriptor.BaseTerm)
            return $"entry {descriptor.BaseIndex} has term {term}, and should have {descriptor.BaseTerm}";
        LogIndex baseIndex = descriptor.BaseIndex;
        int at = _configurations.FindLastIndex(entry => entry.Index <= baseIndex);
        if (at < 0 && !IsAnchored)
            return null;
        ConfigurationEntry known = at < 0 ? Log.BaseConfiguration : _configurations[at];
        return known == descriptor.Configuration ? null : $"the configuration at {baseIndex} is {known}, and should be {descriptor.Configuration}";
    }

    private string? Reset(in LogDescriptor reset, ulong start)
    {
        if (Log.IsRemoved)
            return "a snapshot for a replica that was removed";
        if (reset.LastIndex != reset.BaseIndex || (IsAnchored && !Follows(Log.HardState, reset.HardState)))
            return "a snapshot that breaks a promise";
        Log.Reset(reset.BaseIndex, reset.BaseTerm, reset.Configuration);
        Log.Describe(reset);
        Log.AnchoredAt(start);
        IsAnchored = true;
        _first = reset.BaseIndex.Next;
        _terms.Clear();
        _configurations.Clear();
        return null;
    }

    private string? Need(in EngineMark engine)
    {
        if (Log.IsRemoved)
            return "a mark of the engine of a replica that was removed";

        // Behind an old descriptor, which says nothing either: there is another behind it.
        if (!IsAnchored)
            return null;
        if (!engine.IsSoundFor(Log.BaseIndex) || !engine.Follows(Log.Engine))
            return $"{engine} behind {Log.Engine}, with a log that begins behind {Log.BaseIndex}";
        Log.Need(engine);
        return null;
    }

    private string? SetHardState(HardState state)
    {
        if (Log.IsRemoved)
            return "a vote of a replica that was removed";
        // Without an anchor the descriptor to come has what is right.
        if (!IsAnchored)
            return null;
        if (!Follows(Log.HardState, state))
            return $"{state} breaks the promise of {Log.HardState}";
        Log.SetHardState(state);
        return null;
    }

    private string? Remove(HardState state, ulong start)
    {
        if (IsAnchored && state != Log.HardState)
            return $"a removal with {state} behind {Log.HardState}";
        Log.Remove(state);
        Log.AnchoredAt(start);
        IsAnchored = true;
        _first = LogIndex.Zero.Next;
        _terms.Clear();
        _configurations.Clear();
        return null;
    }

    private string? Truncate(LogIndex from)
    {
        if (Log.IsRemoved)
            return "a truncation for a replica that was removed";
        if (_first > LogIndex.Zero && from > Log.LastIndex)
            return $"a truncation from {from}, behind the log's end at {Log.LastIndex}";
        if (IsAnchored && from <= Log.BaseIndex)
            return $"a truncation from {from}, before the log's begin behind {Log.BaseIndex}";
        if (!IsAnchored && (_first == LogIndex.Zero || from < _first))
            _first = from;
        Log.TruncateFrom(from);
        while (_terms.Count > 0 && _terms[^1].First >= from)
            _terms.RemoveAt(_terms.Count - 1);
        while (_configurations.Count > 0 && _configurations[^1].Index >= from)
            _configurations.RemoveAt(_configurations.Count - 1);
        return null;
    }

    private string? Append(EntriesReader entries, ulong start, int bytes)
    {
        if (Log.IsRemoved)
            return "entries of a replica that was removed";
        if (_first > LogIndex.Zero && entries.First != Log.LastIndex.Next)
            return $"entries from {entries.First} on do not follow {Log.LastIndex}";
        while (entries.MoveNext())
        {
            if (entries.Term < LastTerm)
                return $"entry {entries.Index} has term {entries.Term}, below {LastTerm} of the one before";
            if (_terms.Count == 0 || entries.Term > _terms[^1].Term)
                _terms.Add(new TermRun(entries.Index, entries.Term));
            if (entries.Kind == EntryKind.Configuration)
            {
                if (!ConfigurationCodec.TryRead(entries.Bytes, out Configuration? configuration))
                    return $"entry {entries.Index} holds a malformed configuration";
                _configurations.Add(new ConfigurationEntry(entries.Index, entries.Term, configuration));
            }
        }

        if (entries.Malformed)
            return "malformed entries";
        if (_first == LogIndex.Zero)
            _first = entries.First;
        Log.Append(entries.Index);
        Log.Written(entries.First, entries.Index, start, bytes);
        return null;
    }

    private Term TermAt(LogIndex index)
    {
        int at = _terms.FindLastIndex(run => run.First <= index);
        Check.That(at >= 0 && index <= Log.LastIndex);
        return _terms[at].Term;
    }

    private void CompactTerms(LogIndex index)
    {
        int drop = 0;
        while (drop < _terms.Count && (drop + 1 < _terms.Count ? _terms[drop + 1].First : Log.LastIndex.Next) <= index.Next)
            drop++;
        _terms.RemoveRange(0, drop);
        if (_terms.Count > 0 && _terms[0].First <= index)
            _terms[0] = new TermRun(index.Next, _terms[0].Term);
    }
}
