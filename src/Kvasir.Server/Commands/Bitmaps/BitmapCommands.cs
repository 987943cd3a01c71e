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
            Since = "2.2.0",
            Complexity = "O(1)",
            Summary = "Sets or clears the bit at offset in the string value stored at key",
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
            Since = "2.2.0",
            Complexity = "O(1)",
            Summary = "Returns the bit value at offset in the string value stored at key",
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
            Since = "2.6.0",
            Complexity = "O(N)",
            Summary = "Count set bits in a string",
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
            Since = "2.8.7",
            Complexity = "O(N)",
            Summary = "Find first bit set or clear in a string",
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
            Since = "2.6.0",
            Complexity = "O(N)",
            Summary = "Perform bitwise operations between strings",
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
            Since = "3.2.0",
            Complexity = "O(1) for each subcommand specified",
            Summary = "Perform arbitrary bitfield integer operations on strings",
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
            Since = "6.0.0",
            Complexity = "O(1) for each subcommand specified",
            Summary = "Perform arbitrary bitfield integer operations on strings. Read-only variant of BITFIELD",
        },
    ];
}
