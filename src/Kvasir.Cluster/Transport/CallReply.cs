namespace Kvasir.Cluster.Transport;

/// <summary>How a call ended.</summary>
public enum CallOutcome : byte
{
    Answered = 0,

    /// <summary>The other side has not heard the question: nobody is there, or it does not speak with us.</summary>
    Failed = 1,

    /// <summary>The question was sent, and no answer came: the other side may have acted on it.</summary>
    Lost = 2,

    /// <summary>Not heard: the other side is of another cluster.</summary>
    Foreign = 3,
}

/// <param name="Bytes">The answer; empty without one.</param>
/// <param name="Reason">Why there is none, for people; empty with one.</param>
public readonly record struct CallReply(CallOutcome Outcome, ReadOnlyMemory<byte> Bytes, string Reason);

/// <summary>A question that waits for its answer.</summary>
public readonly record struct CallTicket(ulong Value);
