using System.Text;
using Kvasir.Primitives;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;

namespace Kvasir.Server.Commands;

/// <summary>CONFIG.</summary>
internal static class ConfigCommands
{
    private const CommandFlags Administrating = CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale;

    public static IEnumerable<CommandDefinition> All =>
    [
        new()
        {
            Name = "config", Arity = -2, Flags = CommandFlags.None, Group = "server", Summary = "A container for server configuration commands", Since = "2.0.0", Complexity = "Depends on subcommand.",
            Subcommands =
            [
                Sub("get", -3, Administrating, Get, "Get the values of configuration parameters", "O(N) when N is the number of configuration parameters provided"),
                Sub("set", -4, Administrating, Set, "Set configuration parameters to the given values", "O(N) when N is the number of configuration parameters provided"),
                Sub("resetstat", 2, Administrating, ResetStatistics, "Reset the stats returned by INFO", "O(1)"),
                Sub("rewrite", 2, Administrating, Rewrite, "Rewrite the configuration file with the in memory configuration", "O(1)"),
                Sub("help", 2, CommandFlags.Loading | CommandFlags.Stale, Help, "Show helpful text about the different subcommands", "O(1)"),
            ],
        },
    ];

    private static CommandDefinition Sub(string name, int arity, CommandFlags flags, CommandHandler handler, string summary, string complexity) =>
        new() { Name = name, Arity = arity, Flags = flags, Handler = handler, Group = "server", Summary = summary, Since = "2.0.0", Complexity = complexity };

    private static void Get(CommandContext context)
    {
        ServerSettings settings = context.Server.Settings;
        List<(string Name, Setting Setting)> found = [];
        foreach ((string name, Setting setting) in settings.Names)
        {
            byte[] bytes = Encoding.ASCII.GetBytes(name);
            for (int i = 2; i < context.ArgumentCount; i++)
            {
                ReadOnlySpan<byte> pattern = context.Argument(i);
                if (setting.Hidden ? Ascii.EqualsIgnoreCase(pattern, bytes) : GlobPattern.Matches(pattern, bytes, ignoreCase: true))
                {
                    found.Add((name, setting));
                    break;
                }
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
            context.Reply.Error("ERR wrong number of arguments for 'config|set' command");
            return;
        }

        List<(Setting Setting, string Value)> changes = [];
        for (int i = 2; i < context.ArgumentCount; i += 2)
        {
            string name = Encoding.UTF8.GetString(context.Argument(i));
            Setting? setting = settings.Find(name);
            if (setting is null)
            {
                context.Reply.Error($"ERR Unknown option or number of arguments for CONFIG SET - '{name}'");
                return;
            }

            string? objection = setting.Fixed ? "can't set immutable config"
                : setting.Guarded && !string.Equals(settings["enable-protected-configs"], "yes", StringComparison.Ordinal) ? "can't set protected config"
                : changes.Any(c => ReferenceEquals(c.Setting, setting)) ? "duplicate parameter"
                : null;
            string normal = "";
            objection ??= settings.Check(setting, Encoding.UTF8.GetString(context.Argument(i + 1)), out normal);
            if (objection is not null)
            {
                context.Reply.Error($"ERR CONFIG SET failed (possibly related to argument '{name}') - {objection}");
                return;
            }

            changes.Add((setting, normal));
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
