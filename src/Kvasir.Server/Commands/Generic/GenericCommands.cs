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
            Since = "1.0.0",
            Complexity =
                "O(N) where N is the number of keys that will be removed. When a key to remove holds a value " +
                "other than a string, the individual complexity for this key is O(M) where M is the number of " +
                "elements in the list, set, sorted set or hash. Removing a single key that holds a string value " +
                "is O(1).",
            Summary = "Delete a key",
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
            Since = "4.0.0",
            Complexity =
                "O(1) for each key removed regardless of its size. Then the command does O(N) work in a different " +
                "thread in order to reclaim memory, where N is the number of allocations the deleted objects " +
                "where composed of.",
            Summary = "Delete a key asynchronously in another thread. Otherwise it is just as DEL, but non blocking.",
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
            Since = "1.0.0",
            Complexity = "O(N) where N is the number of keys to check.",
            Summary = "Determine if a key exists",
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
            Since = "3.2.1",
            Complexity = "O(N) where N is the number of keys that will be touched.",
            Summary = "Alters the last access time of a key(s). Returns the number of existing keys specified.",
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
            Since = "1.0.0",
            Complexity = "O(1)",
            Summary = "Determine the type stored at key",
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
            Since = "1.0.0",
            Complexity = "O(1)",
            Summary = "Rename a key",
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
            Since = "1.0.0",
            Complexity = "O(1)",
            Summary = "Rename a key, only if the new key does not exist",
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
            Since = "6.2.0",
            Complexity =
                "O(N) worst case for collections, where N is the number of nested items. O(1) for string values.",
            Summary = "Copy a key",
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
            Since = "1.0.0",
            Complexity = "O(1)",
            Summary = "Move a key to another database",
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
            Since = "1.0.0",
            Complexity = "O(1)",
            Summary = "Set a key's time to live in seconds",
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
            Since = "2.6.0",
            Complexity = "O(1)",
            Summary = "Set a key's time to live in milliseconds",
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
            Since = "1.2.0",
            Complexity = "O(1)",
            Summary = "Set the expiration for a key as a UNIX timestamp",
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
            Since = "2.6.0",
            Complexity = "O(1)",
            Summary = "Set the expiration for a key as a UNIX timestamp specified in milliseconds",
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
            Since = "1.0.0",
            Complexity = "O(1)",
            Summary = "Get the time to live for a key in seconds",
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
            Since = "2.6.0",
            Complexity = "O(1)",
            Summary = "Get the time to live for a key in milliseconds",
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
            Since = "7.0.0",
            Complexity = "O(1)",
            Summary = "Get the expiration Unix timestamp for a key",
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
            Since = "7.0.0",
            Complexity = "O(1)",
            Summary = "Get the expiration Unix timestamp for a key in milliseconds",
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
            Since = "2.2.0",
            Complexity = "O(1)",
            Summary = "Remove the expiration from a key",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "randomkey",
            Arity = 1,
            Flags = CommandFlags.ReadOnly,
            Handler = RandomKeyCommand.RandomKey,
            Group = "generic",
            Since = "1.0.0",
            Complexity = "O(1)",
            Summary = "Return a random key from the keyspace",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "keys",
            Arity = 2,
            Flags = CommandFlags.ReadOnly,
            Handler = ScanCommands.Keys,
            Group = "generic",
            Since = "1.0.0",
            Complexity =
                "O(N) with N being the number of keys in the database, under the assumption that the key names in " +
                "the database and the given pattern have limited length.",
            Summary = "Find all keys matching the given pattern",
            Categories = ["keyspace", "dangerous"],
        },
        new()
        {
            Name = "scan",
            Arity = -2,
            Flags = CommandFlags.ReadOnly,
            Handler = ScanCommands.Scan,
            Group = "generic",
            Since = "2.8.0",
            Complexity =
                "O(1) for every call. O(N) for a complete iteration, including enough command calls for the " +
                "cursor to return back to 0. N is the number of elements inside the collection.",
            Summary = "Incrementally iterate the keys space",
            Categories = ["keyspace"],
        },
        new()
        {
            Name = "object",
            Arity = -2,
            Flags = CommandFlags.None,
            Group = "generic",
            Since = "2.2.3",
            Complexity = "Depends on subcommand.",
            Summary = "A container for object introspection commands",
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
                    Since = "2.2.3",
                    Complexity = "O(1)",
                    Summary = "Inspect the internal encoding of a Redis object",
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
                    Since = "4.0.0",
                    Complexity = "O(1)",
                    Summary = "Get the logarithmic access frequency counter of a Redis object",
                    Categories = ["keyspace"],
                },
                new()
                {
                    Name = "help",
                    Arity = 2,
                    Flags = CommandFlags.Loading | CommandFlags.Stale,
                    Handler = ObjectCommands.Help,
                    Group = "generic",
                    Since = "6.2.0",
                    Complexity = "O(1)",
                    Summary = "Show helpful text about the different subcommands",
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
                    Since = "2.2.3",
                    Complexity = "O(1)",
                    Summary = "Get the time since a Redis object was last accessed",
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
                    Since = "2.2.3",
                    Complexity = "O(1)",
                    Summary = "Get the number of references to the value of the key",
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
            Since = "2.6.0",
            Complexity =
                "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of Redis " +
                "objects composing the value and M their average size. For small string values the time " +
                "complexity is thus O(1)+O(1*M) where M is small, so simply O(1).",
            Summary = "Return a serialized version of the value stored at the specified key.",
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
            Since = "2.6.0",
            Complexity =
                "O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N is " +
                "the number of Redis objects composing the value and M their average size. For small string " +
                "values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1). However for " +
                "sorted set values the complexity is O(N*M*log(N)) because inserting values into sorted sets is " +
                "O(log(N)).",
            Summary = "Create a key using the provided serialized value, previously obtained using DUMP.",
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
            Since = "3.0.0",
            Complexity =
                "O(1) to create the new key and additional O(N*M) to reconstruct the serialized value, where N is " +
                "the number of Redis objects composing the value and M their average size. For small string " +
                "values the time complexity is thus O(1)+O(1*M) where M is small, so simply O(1). However for " +
                "sorted set values the complexity is O(N*M*log(N)) because inserting values into sorted sets is " +
                "O(log(N)).",
            Summary = "An internal command for migrating keys in a cluster",
            Categories = ["keyspace", "dangerous"],
        },
        new()
        {
            Name = "sort",
            Arity = -2,
            Flags = CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.MovableKeys,
            Handler = SortCommands.Sort,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "generic",
            Since = "1.0.0",
            Complexity =
                "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of " +
                "returned elements. When the elements are not sorted, complexity is O(N).",
            Summary = "Sort the elements in a list, set or sorted set",
            Categories = ["set", "sortedset", "list", "dangerous"],
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
            Since = "7.0.0",
            Complexity =
                "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the number of " +
                "returned elements. When the elements are not sorted, complexity is O(N).",
            Summary = "Sort the elements in a list, set or sorted set. Read-only variant of SORT.",
            Categories = ["set", "sortedset", "list", "dangerous"],
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
            Since = "2.6.0",
            Complexity =
                "This command actually executes a DUMP+DEL in the source instance, and a RESTORE in the target " +
                "instance. See the pages of these commands for time complexity. Also an O(N) data transfer " +
                "between the two instances is performed.",
            Summary = "Atomically transfer a key from a Redis instance to another one.",
            Categories = ["keyspace", "dangerous"],
        },
        new()
        {
            Name = "swapdb",
            Arity = 3,
            Flags = CommandFlags.Write | CommandFlags.Fast,
            Handler = FlushCommands.SwapDb,
            Group = "server",
            Since = "4.0.0",
            Complexity = "O(N) where N is the count of clients watching or blocking on keys from both databases.",
            Summary = "Swaps two Redis databases",
            Categories = ["keyspace", "dangerous"],
        },
        new()
        {
            Name = "flushdb",
            Arity = -1,
            Flags = CommandFlags.Write,
            Handler = FlushCommands.FlushDb,
            Group = "server",
            Since = "1.0.0",
            Complexity = "O(N) where N is the number of keys in the selected database",
            Summary = "Remove all keys from the current database",
            Categories = ["keyspace", "dangerous"],
        },
        new()
        {
            Name = "flushall",
            Arity = -1,
            Flags = CommandFlags.Write,
            Handler = FlushCommands.FlushAll,
            Group = "server",
            Since = "1.0.0",
            Complexity = "O(N) where N is the total number of keys in all databases",
            Summary = "Remove all keys from all databases",
            Categories = ["keyspace", "dangerous"],
        },
        new()
        {
            Name = "dbsize",
            Arity = 1,
            Flags = CommandFlags.ReadOnly | CommandFlags.Fast,
            Handler = FlushCommands.DbSize,
            Group = "server",
            Since = "1.0.0",
            Complexity = "O(1)",
            Summary = "Return the number of keys in the selected database",
            Categories = ["keyspace"],
        },
    ];
}
