using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands.Generic;

/// <summary>OBJECT: what Redis would say of how a value is kept; clients and tests ask, though nothing here is kept so.</summary>
internal static class ObjectCommands
{
    /// <summary>Longest string that Redis keeps in one block with its header.</summary>
    internal const int EmbeddedLengthMax = 44;

    /// <summary>Small integers are one shared object each, which counts as referred to without end.</summary>
    internal const int SharedIntegers = 10_000;

    private const string SwitchingHint =
        " Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.";

    private static readonly string[] s_help =
    [
        "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "ENCODING <key>",
        "    Return the kind of internal representation used in order to store the value",
        "    associated with a <key>.",
        "FREQ <key>",
        "    Return the access frequency index of the <key>. The returned integer is",
        "    proportional to the logarithm of the recent access frequency of the key.",
        "IDLETIME <key>",
        "    Return the idle time of the <key>, that is the approximated number of",
        "    seconds elapsed since the last access to the key.",
        "REFCOUNT <key>",
        "    Return the number of references of the value associated with the specified",
        "    <key>.",
        "HELP",
        "    Prints this help.",
    ];

    public static void Encoding(CommandContext context)
    {
        if (!TryFind(context, out KeyLookup found))
            return;
        context.Reply.BulkString(
            IsInteger(context, found, out _) ? "int"u8
            : found.Header == ValueHeader.RawString || context.Value.Length - 1 > EmbeddedLengthMax ? "raw"u8
            : "embstr"u8);
    }

    public static void RefCount(CommandContext context)
    {
        if (!TryFind(context, out KeyLookup found))
            return;
        bool shared = IsInteger(context, found, out long value) && value is >= 0 and < SharedIntegers;
        context.Reply.Integer(shared ? int.MaxValue : 1);
    }

    public static void IdleTime(CommandContext context)
    {
        if (!TryFind(context, out _))
            return;
        if (IsLfu(context))
        {
            context.Reply.Error("ERR An LFU maxmemory policy is selected, idle time not tracked." + SwitchingHint);
            return;
        }

        context.Reply.Integer(context.Server.Use.IdleSeconds(context.DatabaseIndex, context.Argument(2)));
        context.Server.Use.NoteReads();
    }

    public static void Freq(CommandContext context)
    {
        if (!TryFind(context, out _))
            return;
        if (IsLfu(context))
            context.Reply.Integer(context.Server.Use.Frequency(context.DatabaseIndex, context.Argument(2)));
        else
            context.Reply.Error("ERR An LFU maxmemory policy is not selected, access frequency not tracked." + SwitchingHint);
    }

    private static bool IsLfu(CommandContext context) => context.Server.Use.IsCounting;

    public static void Help(CommandContext context)
    {
        context.Reply.ArrayHeader(s_help.Length);
        foreach (string line in s_help)
            context.Reply.SimpleString(System.Text.Encoding.ASCII.GetBytes(line));
    }

    private static bool TryFind(CommandContext context, out KeyLookup found)
    {
        found = KeyAccess.Find(context, context.Argument(2));
        if (found.Exists)
            context.Server.Statistics.KeyHits++;
        else
            context.Server.Statistics.KeyMisses++;
        if (!found.Exists)
            context.Reply.Null();
        return found.Exists;
    }

    private static bool IsInteger(CommandContext context, in KeyLookup found, out long value)
    {
        value = 0;
        return found.Header == ValueHeader.PlainString && NumberText.TryParseInt64(KeyAccess.Content(context.Value), out value);
    }
}
