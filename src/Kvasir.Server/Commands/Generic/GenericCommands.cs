using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands.Generic;

/// <summary>Commands on keys of any type, and on whole databases. Metadata as COMMAND of Redis 7.0.15 gives it.</summary>
internal static class GenericCommands
{
    public static IReadOnlyList<CommandDefinition> All { get; } =
    [
        new()
        {
            Name = "del",
            Arity = -2,
            Flags = CommandFlags.Write,
            Handler = KeyCommands.Del,
            FirstKey = 1,
            LastKey = -1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "unlink",
            Arity = -2,
            Flags = CommandFlags.Write | CommandFlags.Fast,
            Handler = KeyCommands.Del,
            FirstKey = 1,
            LastKey = -1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "exists",
            Arity = -2,
            Flags = CommandFlags.ReadOnly | CommandFlags.Fast,
            Handler = KeyCommands.Exists,
            FirstKey = 1,
            LastKey = -1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "touch",
            Arity = -2,
            Flags = CommandFlags.ReadOnly | CommandFlags.Fast,
            Handler = KeyCommands.Touch,
            FirstKey = 1,
            LastKey = -1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "type",
            Arity = 2,
            Flags = CommandFlags.ReadOnly | CommandFlags.Fast,
            Handler = KeyCommands.Type,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "rename",
            Arity = 3,
            Flags = CommandFlags.Write,
            Handler = KeyCommands.Rename,
            FirstKey = 1,
            LastKey = 2,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "renamenx",
            Arity = 3,
            Flags = CommandFlags.Write | CommandFlags.Fast,
            Handler = KeyCommands.RenameNx,
            FirstKey = 1,
            LastKey = 2,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "copy",
            Arity = -3,
            Flags = CommandFlags.Write | CommandFlags.DenyOom,
            Handler = KeyCommands.Copy,
            FirstKey = 1,
            LastKey = 2,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "move",
            Arity = 3,
            Flags = CommandFlags.Write | CommandFlags.Fast,
            Handler = KeyCommands.Move,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "expire",
            Arity = -3,
            Flags = CommandFlags.Write | CommandFlags.Fast,
            Handler = ExpireCommands.Expire,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "pexpire",
            Arity = -3,
            Flags = CommandFlags.Write | CommandFlags.Fast,
            Handler = ExpireCommands.PExpire,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "expireat",
            Arity = -3,
            Flags = CommandFlags.Write | CommandFlags.Fast,
            Handler = ExpireCommands.ExpireAt,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "pexpireat",
            Arity = -3,
            Flags = CommandFlags.Write | CommandFlags.Fast,
            Handler = ExpireCommands.PExpireAt,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "ttl",
            Arity = 2,
            Flags = CommandFlags.ReadOnly | CommandFlags.Fast,
            Handler = ExpireCommands.Ttl,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "pttl",
            Arity = 2,
            Flags = CommandFlags.ReadOnly | CommandFlags.Fast,
            Handler = ExpireCommands.PTtl,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "expiretime",
            Arity = 2,
            Flags = CommandFlags.ReadOnly | CommandFlags.Fast,
            Handler = ExpireCommands.ExpireTimeOf,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "pexpiretime",
            Arity = 2,
            Flags = CommandFlags.ReadOnly | CommandFlags.Fast,
            Handler = ExpireCommands.PExpireTimeOf,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "persist",
            Arity = 2,
            Flags = CommandFlags.Write | CommandFlags.Fast,
            Handler = ExpireCommands.Persist,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "randomkey",
            Arity = 1,
            Flags = CommandFlags.ReadOnly,
            Handler = RandomKeyCommand.RandomKey,
            OverShards = ShardCommands.RandomKey,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "keys",
            Arity = 2,
            Flags = CommandFlags.ReadOnly,
            Handler = ScanCommands.Keys,
            OverShards = ShardCommands.Keys,
            Group = "generic",
            Categories = ["keyspace", "dangerous"],
        },
        new()
        {
            Name = "scan",
            Arity = -2,
            Flags = CommandFlags.ReadOnly,
            Handler = ScanCommands.Scan,
            OverShards = ShardCommands.Scan,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "object",
            Arity = -2,
            Flags = CommandFlags.None,
            Group = "generic",
            Subcommands =
            [
                new()
                {
                    Name = "encoding",
                    Arity = 3,
                    Flags = CommandFlags.ReadOnly,
                    Handler = ObjectCommands.Encoding,
                    FirstKey = 2,
                    LastKey = 2,
                    KeyStep = 1,
                    Group = "generic",
                    Categories = ["keyspace"],
                },
                new()
                {
                    Name = "freq",
                    Arity = 3,
                    Flags = CommandFlags.ReadOnly,
                    Handler = ObjectCommands.Freq,
                    FirstKey = 2,
                    LastKey = 2,
                    KeyStep = 1,
                    Group = "generic",
                    Categories = ["keyspace"],
                },
                new()
                {
                    Name = "help",
                    Arity = 2,
                    Flags = CommandFlags.Loading | CommandFlags.Stale,
                    Handler = ObjectCommands.Help,
                    Group = "generic",
                    Categories = ["keyspace"],
                },
                new()
                {
                    Name = "idletime",
                    Arity = 3,
                    Flags = CommandFlags.ReadOnly,
                    Handler = ObjectCommands.IdleTime,
                    FirstKey = 2,
                    LastKey = 2,
                    KeyStep = 1,
                    Group = "generic",
                    Categories = ["keyspace"],
                },
                new()
                {
                    Name = "refcount",
                    Arity = 3,
                    Flags = CommandFlags.ReadOnly,
                    Handler = ObjectCommands.RefCount,
                    FirstKey = 2,
                    LastKey = 2,
                    KeyStep = 1,
                    Group = "generic",
                    Categories = ["keyspace"],
                },
            ],
        },
        new()
        {
            Name = "dump",
            Arity = 2,
            Flags = CommandFlags.ReadOnly,
            Handler = DumpCommands.Dump,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "restore",
            Arity = -4,
            Flags = CommandFlags.Write | CommandFlags.DenyOom,
            Handler = DumpCommands.Restore,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace", "dangerous"],
        },
        new()
        {
            Name = "restore-asking",
            Arity = -4,
            Flags = CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Asking,
            Handler = DumpCommands.Restore,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "server",
            Categories = ["keyspace", "dangerous"],
        },
        new()
        {
            Name = "sort",
            Arity = -2,
            Flags = CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.MovableKeys,
            Handler = SortCommands.Sort,
            LateKey = SortCommands.FindStore,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["set", "sortedset", "list", "dangerous"],
            OwnCategoriesOnly = true,
        },
        new()
        {
            Name = "sort_ro",
            Arity = -2,
            Flags = CommandFlags.ReadOnly | CommandFlags.MovableKeys,
            Handler = SortCommands.SortReadOnly,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "generic",
            Categories = ["set", "sortedset", "list", "dangerous"],
            OwnCategoriesOnly = true,
        },
        new()
        {
            Name = "migrate",
            Arity = -6,
            Flags = CommandFlags.Write | CommandFlags.MovableKeys,
            Handler = DumpCommands.Migrate,
            FirstKey = 3,
            LastKey = 3,
            KeyStep = 1,
            Group = "generic",
            Categories = ["keyspace", "dangerous"],
        },
        new()
        {
            Name = "swapdb",
            Arity = 3,
            Flags = CommandFlags.Write | CommandFlags.Fast,
            Handler = FlushCommands.SwapDb,
            Group = "server",
            Categories = ["keyspace", "dangerous"],
        },
        new()
        {
            Name = "flushdb",
            Arity = -1,
            Flags = CommandFlags.Write,
            Handler = FlushCommands.FlushDb,
            OverShards = ShardCommands.FlushDb,
            Group = "server",
            Categories = ["keyspace", "dangerous"],
        },
        new()
        {
            Name = "flushall",
            Arity = -1,
            Flags = CommandFlags.Write,
            Handler = FlushCommands.FlushAll,
            OverShards = ShardCommands.FlushAll,
            Group = "server",
            Categories = ["keyspace", "dangerous"],
        },
        new()
        {
            Name = "dbsize",
            Arity = 1,
            Flags = CommandFlags.ReadOnly | CommandFlags.Fast,
            Handler = FlushCommands.DbSize,
            OverShards = ShardCommands.DbSize,
            Group = "server",
            Categories = ["keyspace"],
        },
    ];
}
