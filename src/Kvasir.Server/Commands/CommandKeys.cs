using System.Globalization;
using System.Text;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands;

/// <summary>How the first key is found.</summary>
internal enum KeySearch
{
    Index,
    Keyword,
    Unknown,
}

/// <param name="Flags">How the keys are used, in COMMAND INFO's words.</param>
/// <param name="Search">How they are found.</param>
/// <param name="First">Position of the first, or where the search for the keyword begins.</param>
/// <param name="Last">Of the last, counted from the first; negative: from the end.</param>
/// <param name="Step">From one to the next.</param>
internal sealed record KeySpecification(string[] Flags, KeySearch Search, int First, int Last, int Step)
{
    public string? Keyword { get; init; }

    public string? Notes { get; init; }
}

/// <summary>Where a command's keys are and what happens to them: for COMMAND INFO, GETKEYS and GETKEYSANDFLAGS.</summary>
internal static class CommandKeys
{
    private const string SortPatterns =
        "RO access @? # For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the content of the key we sort";

    /// <summary>Commands whose keys are not all just read, or just read and changed, as their flags say.</summary>
    private static readonly Dictionary<string, string> s_rows = new(StringComparer.Ordinal)
    {
        ["append"] = "RW insert @1:0:1",
        ["bitfield"] = "RW access update variable_flags @1:0:1 # This command allows both access and modification of the key",
        ["bitop"] = "OW update @2:0:1; RO access @3:-1:1",
        ["copy"] = "RO access @1:0:1; OW update @2:0:1",
        ["del"] = "RM delete @1:-1:1",
        ["exists"] = "RO @1:-1:1",
        ["expire"] = "RW update @1:0:1",
        ["expireat"] = "RW update @1:0:1",
        ["getdel"] = "RW access delete @1:0:1",
        ["getex"] = "RW access update @1:0:1 # RW and UPDATE because it changes the TTL",
        ["memory|usage"] = "RO @2:0:1",
        ["migrate"] = "RW access delete @3:0:1; RW access delete incomplete @KEYS:-2:-1:1",
        ["mset"] = "OW update @1:-1:2",
        ["msetnx"] = "OW insert @1:-1:2",
        ["object|encoding"] = "RO @2:0:1",
        ["object|freq"] = "RO @2:0:1",
        ["object|idletime"] = "RO @2:0:1",
        ["object|refcount"] = "RO @2:0:1",
        ["persist"] = "RW update @1:0:1",
        ["pexpire"] = "RW update @1:0:1",
        ["pexpireat"] = "RW update @1:0:1",
        ["psetex"] = "OW update @1:0:1",
        ["rename"] = "RW access delete @1:0:1; OW update @2:0:1",
        ["renamenx"] = "RW access delete @1:0:1; OW insert @2:0:1",
        ["restore"] = "OW update @1:0:1",
        ["restore-asking"] = "OW update @1:0:1",
        ["set"] = "RW access update variable_flags @1:0:1 # RW and ACCESS due to the optional `GET` argument",
        ["setex"] = "OW update @1:0:1",
        ["setnx"] = "OW insert @1:0:1",
        ["setrange"] = "RW update @1:0:1",
        ["sort"] = $"RO access @1:0:1; {SortPatterns}; OW update @? # For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in the argument array",
        ["sort_ro"] = $"RO access @1:0:1; {SortPatterns}",
        ["spublish"] = "not_key @1:0:1",
        ["ssubscribe"] = "not_key @1:-1:1",
        ["strlen"] = "RO @1:0:1",
        ["sunsubscribe"] = "not_key @1:-1:1",
        ["touch"] = "RO @1:-1:1",
        ["type"] = "RO @1:0:1",
        ["unlink"] = "RM delete @1:-1:1",
        ["watch"] = "RO @1:-1:1",
    };

    public static IReadOnlyList<KeySpecification> Of(CommandEntry entry)
    {
        CommandDefinition definition = entry.Definition;
        if (s_rows.TryGetValue(entry.FullName, out string? row))
            return [.. row.Split("; ").Select(Parse)];
        if (definition.FirstKey == 0)
            return [];
        string[] flags = (definition.Flags & CommandFlags.Write) != CommandFlags.None ? ["RW", "access", "update"] : ["RO", "access"];
        int last = definition.LastKey < 0 ? definition.LastKey : definition.LastKey - definition.FirstKey;
        return [new KeySpecification(flags, KeySearch.Index, definition.FirstKey, last, definition.KeyStep)];
    }

    /// <summary>The keys of one call, given as the arguments from <paramref name="start"/> on, and what happens to each.</summary>
    public static List<(int Argument, string[] Flags)> Find(CommandContext context, CommandEntry entry, int start)
    {
        List<(int Argument, string[] Flags)> keys = [];
        int count = context.ArgumentCount - start;
        foreach (KeySpecification specification in Of(entry).Where(static s => s.Search == KeySearch.Index))
        {
            string[] flags = Flags(context, entry, start, specification);
            int last = specification.Last < 0 ? count + specification.Last : specification.First + specification.Last;
            for (int i = specification.First; i <= last && i < count; i += specification.Step)
            {
                if (!specification.Flags.Contains("not_key", StringComparer.Ordinal) && !(context.Argument(start + i).IsEmpty && entry.FullName == "migrate"))
                    keys.Add((start + i, flags));
            }
        }

        // The last STORE counts; MIGRATE names its keys after a word, too.
        if (entry.FullName == "sort" && Option(context, start, "store"u8, last: true) is var store and > 0 && store + 1 < context.ArgumentCount)
            keys.Add((store + 1, ["OW", "update"]));
        if (entry.FullName == "migrate" && Option(context, start, "keys"u8, last: false) is var word and > 0)
        {
            for (int i = word + 1; i < context.ArgumentCount; i++)
                keys.Add((i, ["RW", "access", "delete"]));
        }

        return keys;
    }

    /// <summary>Flags @first:last:step, @KEYWORD:from:last:step or @?, and # notes.</summary>
    private static KeySpecification Parse(string text)
    {
        string[] halves = text.Split(" # ");
        int at = halves[0].IndexOf('@', StringComparison.Ordinal);
        string[] flags = halves[0][..(at - 1)].Split(' ');
        string? notes = halves.Length > 1 ? halves[1] : null;
        string[] place = halves[0][(at + 1)..].Split(':');
        if (place[0] is "?")
            return new KeySpecification(flags, KeySearch.Unknown, 0, 0, 0) { Notes = notes };
        int[] numbers = [.. place[^3..].Select(static n => int.Parse(n, CultureInfo.InvariantCulture))];
        return place.Length == 3
            ? new KeySpecification(flags, KeySearch.Index, numbers[0], numbers[1], numbers[2]) { Notes = notes }
            : new KeySpecification(flags, KeySearch.Keyword, numbers[0], numbers[1], numbers[2]) { Keyword = place[0], Notes = notes };
    }

    /// <summary>For some commands the options decide.</summary>
    private static string[] Flags(CommandContext context, CommandEntry entry, int start, KeySpecification specification)
    {
        if (entry.FullName == "set")
            return Option(context, start, "get"u8, last: false) > 0 ? ["RW", "access", "update"] : ["OW", "update"];
        if (entry.FullName != "bitfield")
            return specification.Flags;
        return WritesBits(context, start) ? ["RW", "access", "update"] : ["RO", "access"];
    }

    /// <summary>What is no BITFIELD at all is taken for one that writes.</summary>
    private static bool WritesBits(CommandContext context, int start)
    {
        for (int i = start + 2; i < context.ArgumentCount; i++)
        {
            int more = context.ArgumentCount - 1 - i;
            if (Ascii.EqualsIgnoreCase(context.Argument(i), "get"u8) && more >= 2)
                i += 2;
            else if (Ascii.EqualsIgnoreCase(context.Argument(i), "overflow"u8) && more >= 1)
                i++;
            else
                return true;
        }

        return false;
    }

    /// <summary>Where a word stands behind the first two arguments; 0 for nowhere.</summary>
    private static int Option(CommandContext context, int start, ReadOnlySpan<byte> word, bool last)
    {
        int found = 0;
        for (int i = start + 2; i < context.ArgumentCount && (last || found == 0); i++)
        {
            if (Ascii.EqualsIgnoreCase(context.Argument(i), word))
                found = i;
        }

        return found;
    }
}
