using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Checkers;

/// <summary>
/// What a key does when one operation follows another. States are numbers: a model that needs more keeps a table of what
/// it has seen and hands out the places in it.
/// </summary>
/// <remarks>One model serves one key of one history, on one thread.</remarks>
public interface ISequentialModel
{
    long InitialState { get; }

    /// <summary>
    /// No state comes back once it was left: a list that only grows. The search gives up on a read of a state that was left.
    /// </summary>
    bool NeverReturns { get; }

    /// <summary>
    /// What the operation needs and does. Called for each of the key, in order, before the search. Throws
    /// <see cref="HistoryFormatException"/> for one that the model has no meaning for.
    /// </summary>
    ModelOperation Encode(HistoryOperation operation);

    /// <summary>The state after an operation of form <see cref="Effect.Computed"/>; false when it cannot have happened in this one.</summary>
    bool TryCompute(long state, in ModelOperation operation, out long next);

    /// <summary>From this state, no order satisfies the reads that are left (always more than none). False when in doubt.</summary>
    bool IsHopeless(long state);

    string Describe(long state);
}

/// <summary>What an operation needs of the state it meets.</summary>
public enum Need : byte
{
    Nothing,

    /// <summary>The state is the one named.</summary>
    Equal,

    /// <summary>The state is any but the one named.</summary>
    Different,
}

/// <summary>What an operation leaves.</summary>
public enum Effect : byte
{
    /// <summary>The state it met.</summary>
    Same,

    /// <summary>The state named.</summary>
    Set,

    /// <summary>What <see cref="ISequentialModel.TryCompute"/> says: the state named or the one it met.</summary>
    ComputedSet,

    /// <summary>What <see cref="ISequentialModel.TryCompute"/> says: anything.</summary>
    Computed,
}

/// <summary>
/// An operation as the search sees it. The more of them say outright what they need and leave, the more of the search
/// is arithmetic, and the sooner it knows that a state can no longer come back.
/// </summary>
public readonly record struct ModelOperation(Need Need, long Needed, Effect Effect, long Left, int Number = 0)
{
    public static ModelOperation Read(long state) => new(Need.Equal, state, Effect.Same, 0);

    public static ModelOperation Write(long state) => new(Need.Nothing, 0, Effect.Set, state);
}
