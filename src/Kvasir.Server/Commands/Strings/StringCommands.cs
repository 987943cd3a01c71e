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
        },
    ];
}
