using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands;

/// <summary>MODULE: there are none, and none can be loaded.</summary>
internal static class ModuleCommands
{
    private const CommandFlags Administrating = CommandFlags.Admin | CommandFlags.NoScript;
    private const CommandFlags Loading = Administrating | CommandFlags.NoAsyncLoading | CommandFlags.Protected;

    public static IEnumerable<CommandDefinition> All =>
    [
        new()
        {
            Name = "module", Arity = -2, Flags = CommandFlags.None, Group = "server",
            Subcommands =
            [
                Sub("help", 2, CommandFlags.Loading | CommandFlags.Stale, Help),
                Sub("list", 2, Administrating, static c => c.Reply.ArrayHeader(0)),
                Sub("load", -3, Loading, Refuse),
                Sub("loadex", -3, Loading, Refuse),
                Sub("unload", 3, Loading, Refuse),
            ],
        },
    ];

    private static CommandDefinition Sub(string name, int arity, CommandFlags flags, CommandHandler handler) =>
        new() { Name = name, Arity = arity, Flags = flags, Handler = handler, Group = "server" };

    private static void Refuse(CommandContext context) => context.Reply.Error("ERR modules are not supported");

    private static void Help(CommandContext context) => HelpTexts.Write(
        context,
        "LIST",
        "    Return a list of loaded modules.",
        "LOAD <path> [<arg> ...]",
        "    Load a module library from <path>, passing to it any optional arguments.",
        "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
        "    Load a module library from <path>, while passing it module configurations and optional arguments.",
        "UNLOAD <name>",
        "    Unload a module.");
}
