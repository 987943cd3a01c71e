using System.Text;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Shell;

/// <summary>What the server says about its own commands (COMMAND DOCS): the shell's help and completion.</summary>
internal sealed class CommandManual(RespConnection connection)
{
    private string[]? _names;

    /// <summary>Names in upper case that begin with <paramref name="start"/>, in the case that was typed.</summary>
    public IReadOnlyList<string> Complete(string start)
    {
        bool lower = start.Any(char.IsLower);
        return [.. Names().Where(n => n.StartsWith(start, StringComparison.OrdinalIgnoreCase))
            .Select(n => lower ? n.ToLowerInvariant() : n.ToUpperInvariant())];
    }

    public string Describe(string topic)
    {
        if (topic.Length == 0)
        {
            return $"""
                Type a command and Enter; quote words with spaces. For example: SET greeting "hello world"
                  help COMMAND     what it does and takes
                  Tab              completes a command; Up, Down and Ctrl-R find earlier lines
                  clear            empties the screen
                  quit, Ctrl-D     ends the shell
                {Names().Length} commands: {string.Join(' ', Names())}
                """;
        }

        RespReply docs = connection.Call(["COMMAND", "DOCS", .. topic.Split(' ', StringSplitOptions.RemoveEmptyEntries)]);
        if (docs.Items.Count < 2)
            return $"The server knows no command '{topic}'.";
        var text = new StringBuilder();
        for (int i = 0; i + 1 < docs.Items.Count; i += 2)
        {
            RespReply entry = docs.Items[i + 1];
            text.Append(docs.Items[i].Text.ToUpperInvariant());
            if (entry.Field("arguments") is { } arguments)
                Arguments(text, arguments, " ");
            text.Append('\n').Append("  ").Append(entry.Field("summary")?.Text ?? "(no summary)").Append('\n');
            foreach (string field in (ReadOnlySpan<string>)["since", "group", "complexity"])
            {
                if (entry.Field(field) is { } value)
                    text.Append("  ").Append(field).Append(": ").Append(value.Text).Append('\n');
            }

            if (entry.Field("subcommands") is { } subcommands)
            {
                for (int s = 0; s + 1 < subcommands.Items.Count; s += 2)
                    text.Append("  ").Append(subcommands.Items[s].Text.Replace('|', ' ').ToUpperInvariant()).Append("  ")
                        .Append(subcommands.Items[s + 1].Field("summary")?.Text).Append('\n');
            }
        }

        return text.ToString().TrimEnd('\n');
    }

    private string[] Names()
    {
        if (_names is not null)
            return _names;
        RespReply reply = connection.Call("COMMAND", "LIST");
        _names = reply.Kind == RespReplyKind.Error ? [] : [.. reply.Items.Select(i => i.Text.ToUpperInvariant()).Order(StringComparer.Ordinal)];
        return _names;
    }

    private static void Arguments(StringBuilder text, RespReply arguments, string separator)
    {
        bool first = true;
        foreach (RespReply argument in arguments.Items)
        {
            if (!first || separator == " ")
                text.Append(separator);
            first = false;
            string[] flags = argument.Field("flags") is { } set ? [.. set.Items.Select(f => f.Text)] : [];
            bool optional = flags.Contains("optional");
            text.Append(optional ? "[" : "");
            if (argument.Field("token") is { Text.Length: > 0 } token)
                text.Append(token.Text);
            string type = argument.Field("type")?.Text ?? "";
            if (argument.Field("arguments") is { } nested)
            {
                if (type == "oneof")
                {
                    text.Append(optional ? "" : "<");
                    Arguments(text, nested, "|");
                    text.Append(optional ? "" : ">");
                }
                else
                {
                    var inner = new StringBuilder();
                    Arguments(inner, nested, " ");
                    text.Append(inner.ToString().Trim());
                }
            }
            else if (type != "pure-token")
            {
                text.Append(argument.Field("token") is { Text.Length: > 0 } ? " " : "")
                    .Append((argument.Field("display_text") ?? argument.Field("name"))?.Text);
            }

            text.Append(flags.Contains("multiple") ? " ..." : "").Append(optional ? "]" : "");
        }
    }
}
