using Kvasir.Server.Sessions;

namespace Kvasir.Server.Transport;

/// <summary>A socket of an event loop and its session. Only the loop's thread touches it, but for <see cref="WakePending"/>.</summary>
internal sealed class EpollConnection(int fd, ulong token, EpollLoop loop)
{
    private readonly OutputOverrun _overrun = new();

    /// <summary>1 while it stands in the loop's queue of wakes.</summary>
    public int WakePending;

    public int FileDescriptor { get; } = fd;

    /// <summary>Slot and generation: what the kernel gives back with each event.</summary>
    public ulong Token { get; } = token;

    public EpollLoop Loop { get; } = loop;

    public RespSession Session { get; set; } = null!;

    /// <summary>What the kernel is asked to report.</summary>
    public int Interest { get; set; }

    /// <summary>Stands in the list of connections to send from at the end of this turn.</summary>
    public bool IsDirty { get; set; }

    /// <summary>Stands in the list of connections whose replies wait for the log.</summary>
    public bool IsGated { get; set; }

    /// <summary>It stands in the list of those with replies that wait for the rest of their pipeline.</summary>
    public bool IsHeld { get; set; }

    /// <summary>Since when they wait, in ticks of the stopwatch; 0 when none do.</summary>
    public long HeldSince { get; set; }

    public bool IsSuspended { get; set; }

    /// <summary>Its commands run at the end of this turn, with those of others.</summary>
    public bool IsBatched { get; set; }

    public bool IsClosed { get; set; }

    /// <summary>Its commands run on another thread; its wake is awaited.</summary>
    public bool AwaitsRun { get; set; }

    public long LastActiveMs { get; set; }

    /// <summary>It is closed but for its socket, which is there until then: see the loop's Linger. 0 while it is open.</summary>
    public long LingersUntilMs { get; set; }

    /// <summary>The other side sends nothing more, and still wants the replies to what it has sent.</summary>
    public bool IsHalfClosed { get; set; }

    /// <summary>More is unsent than its limit allows, or has been for too long.</summary>
    public bool IsBeyond(ConnectionLimits limits, long nowMs) =>
        _overrun.IsBeyond(limits.Output(Session), (long)Session.Output.Length + Session.PushBytes, nowMs);
}
