
namespace Kvasir.Server.Sessions;

/// <summary>Why a session does not go on for now. Looked at again at its deadline, and whenever it is woken.</summary>
internal abstract class Suspension
{
    /// <summary>Unix milliseconds; <see cref="long.MaxValue"/> for never by itself.</summary>
    public abstract long DeadlineMs { get; }

    /// <summary>The same in microseconds, for those that are finer.</summary>
    public virtual long DeadlineMicroseconds => DeadlineMs > long.MaxValue / 1000 ? long.MaxValue : DeadlineMs * 1000;

    /// <summary>What CLIENT UNBLOCK may end.</summary>
    public virtual bool IsBlockedCommand => false;

    /// <summary>True when the session may go on; a command that waited writes its reply first. In the mailbox.</summary>
    public abstract bool TryResume(CommandContext context);
}

/// <summary>CLIENT PAUSE: commands wait, or those that write.</summary>
internal sealed class PausedSuspension(ServerState server) : Suspension
{
    public override long DeadlineMs => server.Pause.UntilMs;

    public override bool TryResume(CommandContext context) => !server.Pause.IsActive(server.Clock.Refresh());
}

/// <summary>Back-pressure: the engine asked writers to wait a little, and is asked again after that.</summary>
internal sealed class DelaySuspension : Suspension
{
    private long _deadline;

    public override long DeadlineMs => _deadline / 1000;

    public override long DeadlineMicroseconds => _deadline;

    /// <summary>Whoever waits goes on when its session is run.</summary>
    public void End() => _deadline = 0;

    /// <summary>Begins again: one a session, so that waiting allocates nothing.</summary>
    public DelaySuspension Until(long microseconds)
    {
        _deadline = microseconds;
        return this;
    }

    public override bool TryResume(CommandContext context)
    {
        context.Server.Clock.Refresh();
        return context.Server.Clock.NowMicroseconds >= _deadline;
    }
}

/// <summary>A command that answers later: WAIT.</summary>
internal sealed class BlockedSuspension(long deadlineMs, Action<CommandContext> timedOut) : Suspension
{
    public override long DeadlineMs => deadlineMs;

    public override bool IsBlockedCommand => true;

    /// <summary>CLIENT UNBLOCK came: true with ERROR, false with TIMEOUT.</summary>
    public bool? UnblockedWithError { get; set; }

    public override bool TryResume(CommandContext context)
    {
        if (UnblockedWithError == true)
        {
            context.Reply.Error("UNBLOCKED client unblocked via CLIENT UNBLOCK");
            return true;
        }

        if (UnblockedWithError is null && context.Server.Clock.Refresh() < deadlineMs)
            return false;
        timedOut(context);
        return true;
    }
}

/// <summary>CLIENT PAUSE's state.</summary>
internal sealed class PauseState
{
    public long UntilMs { get; private set; }

    public bool WritesOnly { get; private set; }

    public bool IsActive(long nowMs) => UntilMs > nowMs;

    /// <summary>As Redis: a pause never gets shorter or milder by another.</summary>
    public void Begin(long untilMs, bool writesOnly, long nowMs)
    {
        bool active = IsActive(nowMs);
        WritesOnly = active ? WritesOnly && writesOnly : writesOnly;
        UntilMs = active ? Math.Max(UntilMs, untilMs) : untilMs;
    }

    public void End() => UntilMs = 0;
}

/// <summary>SAVE: the client waits for the checkpoint; the others do not.</summary>
internal sealed class SavingSuspension(ISnapshotter snapshotter) : Suspension
{
    // Looked at every few milliseconds; a checkpoint takes longer than that.
    public override long DeadlineMs { get; } = 0;

    public override bool TryResume(CommandContext context)
    {
        if (snapshotter.IsRunning)
            return false;
        if (snapshotter.LastFailure is { } failure)
            context.Reply.Error("IOERR the checkpoint failed: " + failure);
        else
            context.Reply.Ok();
        return true;
    }
}
