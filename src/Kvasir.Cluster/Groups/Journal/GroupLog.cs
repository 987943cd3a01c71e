using Kvasir.Primitives;
using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Groups.Journal;

/// <summary>
/// What the journal knows of one group's log without reading: as it is once everything that was handed in is durable.
/// Invariant: base &lt;= last; the points cover what lies between them and was written.
/// </summary>
internal sealed class GroupLog(GroupId id)
{
    private static readonly ConfigurationEntry s_nobody = new(LogIndex.Zero, Term.Zero, Configuration.Empty);

    public GroupId Id { get; } = id;

    public bool IsRemoved { get; private set; }

    /// <summary>Which of this node's copies of the group it is, or was.</summary>
    public uint Generation { get; set; }

    public HardState HardState { get; private set; }

    /// <summary>The engine has everything up to here.</summary>
    public LogIndex BaseIndex { get; private set; }

    public Term BaseTerm { get; private set; }

    /// <summary>The configuration in force at the base.</summary>
    public ConfigurationEntry BaseConfiguration { get; private set; } = s_nobody;

    public LogIndex LastIndex { get; private set; }

    /// <summary>What the files of the replica must hold.</summary>
    public EngineMark Engine { get; private set; }

    public EntryPoints Points { get; } = new();

    /// <summary>
    /// What lies before this place is not needed, as long as no descriptor is written: the last one, and the entries behind
    /// its base.
    /// </summary>
    public ulong HeldFrom { get; private set; } = ulong.MaxValue;

    /// <summary>What of all this is durable.</summary>
    public LogOnDisk OnDisk { get; } = new();

    /// <summary>The gathered record, by its number, that has a section of this group.</summary>
    public ulong GatheredIn { get; set; }

    /// <summary>A replica that has promised this and has nothing else.</summary>
    public static LogDescriptor Nothing(HardState state) => new(state, LogIndex.Zero, Term.Zero, LogIndex.Zero, s_nobody);

    public LogDescriptor Descriptor => new(HardState, BaseIndex, BaseTerm, LastIndex, BaseConfiguration);

    /// <summary>Where the oldest record with an entry behind the base begins; the largest number when there is none.</summary>
    public ulong NeededFrom => LastIndex > BaseIndex ? Points.OldestStart : ulong.MaxValue;

    /// <summary>A descriptor, a reset or a removal of this log stands at this place; all before it that is needed is entries.</summary>
    public void AnchoredAt(ulong start) => HeldFrom = Math.Min(start, NeededFrom);

    public void Written(LogIndex first, LogIndex last, ulong start, int bytes) => Points.Add(first, last, start, bytes);

    public void SetHardState(HardState state)
    {
        Check.That(
            state.Term > HardState.Term || (state.Term == HardState.Term && (HardState.Vote.IsNone || HardState.Vote == state.Vote)),
            $"group {Id}: {state} breaks the promise of {HardState}");
        HardState = state;
    }

    /// <summary>As the descriptor says, except for what the points know.</summary>
    public void Describe(in LogDescriptor descriptor)
    {
        IsRemoved = false;
        HardState = descriptor.HardState;
        BaseIndex = descriptor.BaseIndex;
        BaseTerm = descriptor.BaseTerm;
        LastIndex = descriptor.LastIndex;
        BaseConfiguration = descriptor.Configuration;
        Points.CompactTo(BaseIndex);
    }

    /// <summary>Nothing but a snapshot; what its files must hold is said right behind it.</summary>
    public void Reset(LogIndex index, Term term, in ConfigurationEntry configuration)
    {
        Engine = default;
        BaseIndex = LastIndex = index;
        BaseTerm = term;
        BaseConfiguration = configuration;
        Points.Clear();
    }

    public void Remove(HardState state)
    {
        Reset(LogIndex.Zero, Term.Zero, s_nobody);
        HardState = state;
        IsRemoved = true;
    }

    public void TruncateFrom(LogIndex index)
    {
        LastIndex = index.Previous;
        Points.TruncateFrom(index);
    }

    public void Append(LogIndex last) => LastIndex = last;

    public void Need(in EngineMark engine)
    {
        Check.That(engine.IsSoundFor(BaseIndex) && engine.Follows(Engine), $"group {Id}: {engine} behind {Engine}, with a log from {BaseIndex} on");
        Engine = engine;
    }

    public void Compact(LogIndex index, Term term, in ConfigurationEntry configuration)
    {
        BaseIndex = index;
        BaseTerm = term;
        BaseConfiguration = configuration;
        Points.CompactTo(index);
    }
}
