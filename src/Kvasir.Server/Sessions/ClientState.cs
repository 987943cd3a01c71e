namespace Kvasir.Server.Sessions;

/// <summary>What is known of a client: CLIENT LIST shows it, CLIENT and HELLO change it. Touched inside the mailbox.</summary>
internal sealed class ClientState
{
    /// <summary>As CLIENT LIST writes it.</summary>
    public const string NoCommand = "NULL";

    public ClientState(long id, string address, string localAddress, long nowMs)
    {
        Id = id;
        Address = address;
        LocalAddress = localAddress;
        CreatedAtMs = nowMs;
        LastCommandAtMs = nowMs;
    }

    public long Id { get; }

    public string Address { get; }

    public string LocalAddress { get; }

    public long CreatedAtMs { get; }

    public long LastCommandAtMs { get; set; }

    public int FileDescriptor { get; set; } = -1;

    public byte[] Name { get; set; } = [];

    public bool Authenticated { get; set; }

    public string User { get; set; } = "default";

    public string LastCommand { get; set; } = NoCommand;

    /// <summary>Where the reply ended that was under way when CLIENT REPLY turned replies off: in EXEC, what came before stays.</summary>
    public int SilentFrom { get; set; }

    public ReplyMode ReplyMode { get; set; }

    public bool NoEvict { get; set; }

    public bool IsMonitor { get; set; }

    public TrackingState? Tracking { get; set; }
}

/// <summary>What CLIENT TRACKING was told. Invalidations are sent for the keys that read commands name.</summary>
internal sealed class TrackingState
{
    public long Redirect { get; set; }

    public bool Broadcast { get; set; }

    public bool OptIn { get; set; }

    public bool OptOut { get; set; }

    public bool NoLoop { get; set; }

    /// <summary>CLIENT CACHING's yes or no, for the next command.</summary>
    public bool? Caching { get; set; }

    public List<byte[]> Prefixes { get; } = [];

    /// <summary>Whether what the next command reads is remembered.</summary>
    public bool Remembers => !Broadcast && (!OptIn || Caching == true) && (!OptOut || Caching != false);
}

/// <summary>CLIENT REPLY.</summary>
internal enum ReplyMode
{
    On,
    Off,

    /// <summary>SKIP was just asked for: the next command is the one not answered.</summary>
    SkipNext,
    Skip,
}
