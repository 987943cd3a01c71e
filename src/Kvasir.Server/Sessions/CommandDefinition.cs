namespace Kvasir.Server.Sessions;

/// <summary>Runs one command; arguments, database and reply are in the context. Allocates nothing on the hot path.</summary>
internal delegate void CommandHandler(CommandContext context);

/// <summary>What Redis's COMMAND INFO calls flags, as far as they mean something here.</summary>
[Flags]
internal enum CommandFlags
{
    None = 0,
    Write = 1 << 0,
    ReadOnly = 1 << 1,

    /// <summary>May need memory or disk: refused when writes are stopped.</summary>
    DenyOom = 1 << 2,
    Admin = 1 << 3,
    PubSub = 1 << 4,
    NoScript = 1 << 5,
    Blocking = 1 << 6,
    Loading = 1 << 7,
    Stale = 1 << 8,
    SkipMonitor = 1 << 9,
    SkipSlowlog = 1 << 10,
    Fast = 1 << 11,

    /// <summary>Allowed before authentication.</summary>
    NoAuth = 1 << 12,
    MovableKeys = 1 << 13,
    NoMulti = 1 << 14,
    AllowBusy = 1 << 15,
    MayReplicate = 1 << 16,
    NoAsyncLoading = 1 << 17,
    NoMandatoryKeys = 1 << 18,
    Asking = 1 << 19,
    Protected = 1 << 20,
    TouchesArbitraryKeys = 1 << 21,
}

/// <summary>One row of the command table. Families register theirs in one file each.</summary>
internal sealed record CommandDefinition
{
    /// <summary>Lower case, as COMMAND lists it; a subcommand's own word for subcommands.</summary>
    public required string Name { get; init; }

    /// <summary>Arguments with the name; negative: at least so many.</summary>
    public required int Arity { get; init; }

    public required CommandFlags Flags { get; init; }

    /// <summary>Null only for containers that do nothing by themselves.</summary>
    public CommandHandler? Handler { get; init; }

    /// <summary>Position of the first key, the last (negative: from the end), and the step; 0 0 0 for none.</summary>
    public int FirstKey { get; init; }

    public int LastKey { get; init; }

    public int KeyStep { get; init; }

    /// <summary>Finds one more key, behind a word of the command's own: its position, or 0. SORT has one.</summary>
    public Func<CommandContext, int>? LateKey { get; init; }

    /// <summary>
    /// For a command that is about a whole database: in a cluster this asks the leader of each shard, and answers for all of
    /// them; the handler, then, runs on each shard. What it refuses it answers at once; else it makes a place for the reply.
    /// </summary>
    public CommandHandler? OverShards { get; init; }

    /// <summary>string, bitmap, generic, transactions, pubsub, connection, server, scripting.</summary>
    public required string Group { get; init; }

    /// <summary>ACL categories beyond those that flags and group imply, without the @.</summary>
    public IReadOnlyList<string> Categories { get; init; } = [];

    /// <summary>Its group implies no category.</summary>
    public bool OwnCategoriesOnly { get; init; }

    public IReadOnlyList<CommandDefinition> Subcommands { get; init; } = [];
}
