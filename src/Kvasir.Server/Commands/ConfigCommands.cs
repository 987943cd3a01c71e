using System.Text;
using Kvasir.Primitives;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>CONFIG.</summary>
internal static class ConfigCommands
{
    private const CommandFlags Administrating = CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale;

    public static IEnumerable<CommandDefinition> All =>
    [
        new()
        {
            Name = "config", Arity = -2, Flags = CommandFlags.None, Group = "server",
            Subcommands =
            [
                Sub("get", -3, Administrating, Get),
                Sub("set", -4, Administrating, Set),
                Sub("resetstat", 2, Administrating, ResetStatistics),
                Sub("rewrite", 2, Administrating, Rewrite),
                Sub("help", 2, CommandFlags.Loading | CommandFlags.Stale, Help),
            ],
        },
    ];

    private static CommandDefinition Sub(string name, int arity, CommandFlags flags, CommandHandler handler) =>
        new() { Name = name, Arity = arity, Flags = flags, Handler = handler, Group = "server" };

    private static void Get(CommandContext context)
    {
        ServerSettings settings = context.Server.Settings;
        List<(string Name, Setting Setting)> found = [];
        HashSet<string> names = new(StringComparer.OrdinalIgnoreCase);
        for (int i = 2; i < context.ArgumentCount; i++)
        {
            byte[] pattern = RespWriter.CText(context.Argument(i)).ToArray();
            if (pattern.AsSpan().IndexOfAny("[*?"u8) < 0)
            {
                // A name is given back as it was asked for.
                string name = Encoding.Latin1.GetString(pattern);
                if (settings.Find(name) is { } setting && names.Add(name))
                    found.Add((name, setting));
                continue;
            }

            foreach ((string name, Setting setting) in settings.Names)
            {
                if (!setting.Hidden && GlobPattern.Matches(pattern, Encoding.ASCII.GetBytes(name), ignoreCase: true) && names.Add(name))
                    found.Add((name, setting));
            }
        }

        context.Reply.MapHeader(found.Count);
        foreach ((string name, Setting setting) in found)
        {
            context.Reply.BulkString(name);
            context.Reply.BulkString(settings.Value(setting));
        }
    }

    private static void Set(CommandContext context)
    {
        ServerSettings settings = context.Server.Settings;
        if (context.ArgumentCount % 2 != 0)
        {
            context.Reply.Error("ERR syntax error");
            return;
        }

        List<Setting> named = [];
        for (int i = 2; i < context.ArgumentCount; i += 2)
        {
            if (settings.Find(Encoding.Latin1.GetString(context.Argument(i))) is not { } setting)
            {
                context.Reply.ErrorAbout("ERR Unknown option or number of arguments for CONFIG SET - '"u8, context.Argument(i), "'"u8, max: int.MaxValue);
                return;
            }

            // What Redis could change, and is not changed here, may at least be told what it is: tools write back what they read.
            bool isAsItIs = setting.Name.StartsWith("tls-", StringComparison.Ordinal) && Encoding.Latin1.GetString(context.Argument(i + 1)) == settings.Value(setting);
            string? objection = setting.Fixed && !isAsItIs ? "can't set immutable config"
                : setting.Guarded && !string.Equals(settings["enable-protected-configs"], "yes", StringComparison.Ordinal) ? "can't set protected config"
                : named.Contains(setting) ? "duplicate parameter"
                : null;
            if (objection is not null)
            {
                context.Reply.ErrorAbout(
                    "ERR CONFIG SET failed (possibly related to argument '"u8, context.Argument(i), Encoding.ASCII.GetBytes("') - " + objection), max: int.MaxValue);
                return;
            }

            named.Add(setting);
        }

        List<(Setting Setting, string Value)> changes = [];
        for (int i = 0; i < named.Count; i++)
        {
            if (settings.Check(named[i], Encoding.UTF8.GetString(context.Argument((2 * i) + 3)), out string normal) is { } objection)
            {
                string name = Encoding.Latin1.GetString(context.Argument((2 * i) + 2)).ToLowerInvariant();
                context.Reply.Error($"ERR CONFIG SET failed (possibly related to argument '{name}') - {objection}");
                return;
            }

            changes.Add((named[i], normal));
        }

        string[] previous = [.. changes.Select(c => settings.Value(c.Setting))];
        foreach ((Setting setting, string value) in changes)
            settings.Set(setting, value);
        foreach ((Setting setting, _) in changes)
        {
            if (SettingEffects.Apply(context.Server, setting.Name) is not { } objection)
                continue;
            // All or nothing: what the others did is undone, too.
            for (int i = 0; i < previous.Length; i++)
                settings.Set(changes[i].Setting, previous[i]);
            foreach ((Setting changed, _) in changes)
                SettingEffects.Apply(context.Server, changed.Name);
            context.Reply.Error($"ERR CONFIG SET failed (possibly related to argument '{setting.Name}') - {objection}");
            return;
        }

        context.Reply.Ok();
    }

    private static void ResetStatistics(CommandContext context)
    {
        context.Server.Statistics.Reset();
        foreach (CommandEntry entry in context.Server.Commands.AllWithSubcommands)
            entry.Counters.Reset();
        context.Reply.Ok();
    }

    private static void Rewrite(CommandContext context)
    {
        if (context.Server.ConfigFile is not { } file)
            context.Reply.Error("ERR The server is running without a config file");
        else if (file.Rewrite(context.Server.Settings) is { } objection)
            context.Reply.Error("ERR Rewriting config file: " + objection);
        else
            context.Reply.Ok();
    }

    private static void Help(CommandContext context) => HelpTexts.Write(
        context,
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        "REWRITE",
        "    Rewrite the configuration file.");
}
