using System.Text;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands;

/// <summary>The shape that all HELP subcommands share.</summary>
internal static class HelpTexts
{
    public static void Write(CommandContext context, params ReadOnlySpan<string> lines)
    {
        string name = context.Entry.Parent!.FullName.ToUpperInvariant();
        context.Reply.ArrayHeader(lines.Length + 3);
        Line(context, name + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
        foreach (string line in lines)
            Line(context, line);
        Line(context, "HELP");
        Line(context, "    Prints this help.");
    }

    /// <summary>A subcommand that exists, with arguments that make no sense.</summary>
    public static void UnknownSubcommand(CommandContext context) => context.Reply.ErrorAbout(
        "ERR unknown subcommand or wrong number of arguments for '"u8,
        context.Argument(1),
        Encoding.ASCII.GetBytes($"'. Try {context.Entry.Parent!.FullName.ToUpperInvariant()} HELP."));

    private static void Line(CommandContext context, string text) => context.Reply.SimpleString(Encoding.ASCII.GetBytes(text));
}
