using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands.Strings;

/// <summary>Commands that read and write strings. Metadata as COMMAND of Redis 7.0.15 gives it.</summary>
internal static class StringCommands
{
    public static IReadOnlyList<CommandDefinition> All { get; } =
    [
        new()
        {
            Name = "set",
            Arity = -3,
            Flags = CommandFlags.Write | CommandFlags.DenyOom,
            Handler = SetCommand.Set,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "string",
            Since = "1.0.0",
            Complexity = "O(1)",
            Summary = "Set the string value of a key",
        },
        new()
        {
            Name = "get",
            Arity = 2,
            Flags = CommandFlags.ReadOnly | CommandFlags.Fast,
            Handler = GetCommand.Get,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "string",
            Since = "1.0.0",
            Complexity = "O(1)",
            Summary = "Get the value of a key",
        },
        new()
        {
            Name = "getex",
            Arity = -2,
            Flags = CommandFlags.Write | CommandFlags.Fast,
            Handler = GetCommand.GetEx,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "string",
            Since = "6.2.0",
            Complexity = "O(1)",
            Summary = "Get the value of a key and optionally set its expiration",
        },
        new()
        {
            Name = "getdel",
            Arity = 2,
            Flags = CommandFlags.Write | CommandFlags.Fast,
            Handler = GetCommand.GetDel,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "string",
            Since = "6.2.0",
            Complexity = "O(1)",
            Summary = "Get the value of a key and delete the key",
        },
        new()
        {
            Name = "getset",
            Arity = 3,
            Flags = CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast,
            Handler = SetCommand.GetSet,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "string",
            Since = "1.0.0",
            Complexity = "O(1)",
            Summary = "Set the string value of a key and return its old value",
        },
        new()
        {
            Name = "setnx",
            Arity = 3,
            Flags = CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast,
            Handler = SetCommand.SetNx,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "string",
            Since = "1.0.0",
            Complexity = "O(1)",
            Summary = "Set the value of a key, only if the key does not exist",
        },
        new()
        {
            Name = "setex",
            Arity = 4,
            Flags = CommandFlags.Write | CommandFlags.DenyOom,
            Handler = SetCommand.SetEx,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "string",
            Since = "2.0.0",
            Complexity = "O(1)",
            Summary = "Set the value and expiration of a key",
        },
        new()
        {
            Name = "psetex",
            Arity = 4,
            Flags = CommandFlags.Write | CommandFlags.DenyOom,
            Handler = SetCommand.PSetEx,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "string",
            Since = "2.6.0",
            Complexity = "O(1)",
            Summary = "Set the value and expiration in milliseconds of a key",
        },
        new()
        {
            Name = "mget",
            Arity = -2,
            Flags = CommandFlags.ReadOnly | CommandFlags.Fast,
            Handler = GetCommand.MGet,
            FirstKey = 1,
            LastKey = -1,
            KeyStep = 1,
            Group = "string",
            Since = "1.0.0",
            Complexity = "O(N) where N is the number of keys to retrieve.",
            Summary = "Get the values of all the given keys",
        },
        new()
        {
            Name = "mset",
            Arity = -3,
            Flags = CommandFlags.Write | CommandFlags.DenyOom,
            Handler = SetCommand.MSet,
            FirstKey = 1,
            LastKey = -1,
            KeyStep = 2,
            Group = "string",
            Since = "1.0.1",
            Complexity = "O(N) where N is the number of keys to set.",
            Summary = "Set multiple keys to multiple values",
        },
        new()
        {
            Name = "msetnx",
            Arity = -3,
            Flags = CommandFlags.Write | CommandFlags.DenyOom,
            Handler = SetCommand.MSetNx,
            FirstKey = 1,
            LastKey = -1,
            KeyStep = 2,
            Group = "string",
            Since = "1.0.1",
            Complexity = "O(N) where N is the number of keys to set.",
            Summary = "Set multiple keys to multiple values, only if none of the keys exist",
        },
        new()
        {
            Name = "append",
            Arity = 3,
            Flags = CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast,
            Handler = RangeCommands.Append,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "string",
            Since = "2.0.0",
            Complexity =
                "O(1). The amortized time complexity is O(1) assuming the appended value is small and the already " +
                "present value is of any size, since the dynamic string library used by Redis will double the " +
                "free space available on every reallocation.",
            Summary = "Append a value to a key",
        },
        new()
        {
            Name = "strlen",
            Arity = 2,
            Flags = CommandFlags.ReadOnly | CommandFlags.Fast,
            Handler = RangeCommands.StrLen,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "string",
            Since = "2.2.0",
            Complexity = "O(1)",
            Summary = "Get the length of the value stored in a key",
        },
        new()
        {
            Name = "getrange",
            Arity = 4,
            Flags = CommandFlags.ReadOnly,
            Handler = RangeCommands.GetRange,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "string",
            Since = "2.4.0",
            Complexity =
                "O(N) where N is the length of the returned string. The complexity is ultimately determined by " +
                "the returned length, but because creating a substring from an existing string is very cheap, it " +
                "can be considered O(1) for small strings.",
            Summary = "Get a substring of the string stored at a key",
        },
        new()
        {
            Name = "substr",
            Arity = 4,
            Flags = CommandFlags.ReadOnly,
            Handler = RangeCommands.GetRange,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "string",
            Since = "1.0.0",
            Complexity =
                "O(N) where N is the length of the returned string. The complexity is ultimately determined by " +
                "the returned length, but because creating a substring from an existing string is very cheap, it " +
                "can be considered O(1) for small strings.",
            Summary = "Get a substring of the string stored at a key",
        },
        new()
        {
            Name = "setrange",
            Arity = 4,
            Flags = CommandFlags.Write | CommandFlags.DenyOom,
            Handler = RangeCommands.SetRange,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "string",
            Since = "2.2.0",
            Complexity =
                "O(1), not counting the time taken to copy the new string in place. Usually, this string is very " +
                "small so the amortized complexity is O(1). Otherwise, complexity is O(M) with M being the length " +
                "of the value argument.",
            Summary = "Overwrite part of a string at key starting at the specified offset",
        },
        new()
        {
            Name = "incr",
            Arity = 2,
            Flags = CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast,
            Handler = CounterCommands.Incr,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "string",
            Since = "1.0.0",
            Complexity = "O(1)",
            Summary = "Increment the integer value of a key by one",
        },
        new()
        {
            Name = "decr",
            Arity = 2,
            Flags = CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast,
            Handler = CounterCommands.Decr,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "string",
            Since = "1.0.0",
            Complexity = "O(1)",
            Summary = "Decrement the integer value of a key by one",
        },
        new()
        {
            Name = "incrby",
            Arity = 3,
            Flags = CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast,
            Handler = CounterCommands.IncrBy,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "string",
            Since = "1.0.0",
            Complexity = "O(1)",
            Summary = "Increment the integer value of a key by the given amount",
        },
        new()
        {
            Name = "decrby",
            Arity = 3,
            Flags = CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast,
            Handler = CounterCommands.DecrBy,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "string",
            Since = "1.0.0",
            Complexity = "O(1)",
            Summary = "Decrement the integer value of a key by the given number",
        },
        new()
        {
            Name = "incrbyfloat",
            Arity = 3,
            Flags = CommandFlags.Write | CommandFlags.DenyOom | CommandFlags.Fast,
            Handler = CounterCommands.IncrByFloat,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "string",
            Since = "2.6.0",
            Complexity = "O(1)",
            Summary = "Increment the float value of a key by the given amount",
        },
        new()
        {
            Name = "lcs",
            Arity = -3,
            Flags = CommandFlags.ReadOnly,
            Handler = LcsCommand.Lcs,
            FirstKey = 1,
            LastKey = 2,
            KeyStep = 1,
            Group = "string",
            Since = "7.0.0",
            Complexity = "O(N*M) where N and M are the lengths of s1 and s2, respectively",
            Summary = "Find longest common substring",
        },
    ];
}
