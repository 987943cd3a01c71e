using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands.Bitmaps;

/// <summary>Commands that see strings as arrays of bits. Metadata as COMMAND of Redis 7.0.15 gives it.</summary>
internal static class BitmapCommands
{
    public static IReadOnlyList<CommandDefinition> All { get; } =
    [
        new()
        {
            Name = "setbit",
            Arity = 4,
            Flags = CommandFlags.Write | CommandFlags.DenyOom,
            Handler = BitCommands.SetBit,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "bitmap",
        },
        new()
        {
            Name = "getbit",
            Arity = 3,
            Flags = CommandFlags.ReadOnly | CommandFlags.Fast,
            Handler = BitCommands.GetBit,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "bitmap",
        },
        new()
        {
            Name = "bitcount",
            Arity = -2,
            Flags = CommandFlags.ReadOnly,
            Handler = BitCommands.BitCount,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "bitmap",
        },
        new()
        {
            Name = "bitpos",
            Arity = -3,
            Flags = CommandFlags.ReadOnly,
            Handler = BitCommands.BitPos,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "bitmap",
        },
        new()
        {
            Name = "bitop",
            Arity = -4,
            Flags = CommandFlags.Write | CommandFlags.DenyOom,
            Handler = BitOpCommand.BitOp,
            FirstKey = 2,
            LastKey = -1,
            KeyStep = 1,
            Group = "bitmap",
        },
        new()
        {
            Name = "bitfield",
            Arity = -2,
            Flags = CommandFlags.Write | CommandFlags.DenyOom,
            Handler = BitFieldCommand.BitField,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "bitmap",
        },
        new()
        {
            Name = "bitfield_ro",
            Arity = -2,
            Flags = CommandFlags.ReadOnly | CommandFlags.Fast,
            Handler = BitFieldCommand.BitFieldReadOnly,
            FirstKey = 1,
            LastKey = 1,
            KeyStep = 1,
            Group = "bitmap",
        },
    ];
}
