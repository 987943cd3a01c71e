using System.Globalization;
using System.Text;
using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>CLIENT.</summary>
internal static class ClientCommands
{
    private const CommandFlags Plain = CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale;
    private const CommandFlags Administrating = Plain | CommandFlags.Admin;

    public static IEnumerable<CommandDefinition> All =>
    [
        new()
        {
            Name = "client", Arity = -2, Flags = CommandFlags.None, Group = "connection",
            Subcommands =
            [
                Sub("id", 2, Plain, static c => c.Reply.Integer(c.Session.Client.Id)),
                Sub("info", 2, Plain, static c => c.Reply.Verbatim(ClientLine.Format(c.Session) + "\n")),
                Sub("list", -2, Administrating, List),
                Sub("setname", 3, Plain, SetName),
                Sub("getname", 2, Plain, GetName),
                Sub("kill", -3, Administrating, ClientKill.Run),
                Sub("pause", -3, Administrating, Pause),
                Sub("unpause", 2, Administrating, Unpause),
                Sub("reply", 3, Plain, ReplyTo),
                Sub("no-evict", 3, Administrating, NoEvict),
                Sub("unblock", -3, Administrating, Unblock),
                Sub("tracking", -3, Plain, TrackingCommands.Tracking),
                Sub("caching", 3, Plain, TrackingCommands.Caching),
                Sub("trackinginfo", 2, Plain, TrackingCommands.Info),
                Sub("getredir", 2, Plain, TrackingCommands.GetRedirect),
                Sub("help", 2, CommandFlags.Loading | CommandFlags.Stale, Help),
            ],
        },
    ];

    /// <summary>Printable, without spaces.</summary>
    public static bool IsName(ReadOnlySpan<byte> name) => name.IndexOfAnyExceptInRange((byte)'!', (byte)'~') < 0;

    private static CommandDefinition Sub(string name, int arity, CommandFlags flags, CommandHandler handler) =>
        new() { Name = name, Arity = arity, Flags = flags, Handler = handler, Group = "connection" };

    /// <summary>The class of clients that a word names, or null.</summary>
    public static string? TypeOf(ReadOnlySpan<byte> word)
    {
        foreach (string type in (ReadOnlySpan<string>)["normal", "slave", "replica", "pubsub", "master"])
        {
            if (Ascii.EqualsIgnoreCase(word, type))
                return string.Equals(type, "slave", StringComparison.Ordinal) ? "replica" : type;
        }

        return null;
    }

    public static bool IsOfType(RespSession session, string type) => type switch
    {
        "normal" => !session.Subscriptions.Any,
        "pubsub" => session.Subscriptions.Any,
        _ => false,
    };

    private static void List(CommandContext context)
    {
        IEnumerable<RespSession> sessions = context.Server.Clients.All;
        if (context.ArgumentCount >= 4 && Ascii.EqualsIgnoreCase(context.Argument(2), "id"u8))
        {
            List<RespSession> chosen = [];
            for (int i = 3; i < context.ArgumentCount; i++)
            {
                if (!RespRequestParser.TryNumber(context.Argument(i), out long id) )
                {
                    context.Reply.Error("ERR Invalid client ID");
                    return;
                }

                if (context.Server.Clients.Find(id) is { } session)
                    chosen.Add(session);
            }

            sessions = chosen;
        }
        else if (context.ArgumentCount == 4 && Ascii.EqualsIgnoreCase(context.Argument(2), "type"u8))
        {
            string? type = TypeOf(context.Argument(3));
            if (type is null)
            {
                context.Reply.ErrorAbout("ERR Unknown client type '"u8, context.Argument(3), "'"u8);
                return;
            }

            sessions = sessions.Where(s => IsOfType(s, type));
        }
        else if (context.ArgumentCount != 2)
        {
            context.Reply.Error("ERR syntax error");
            return;
        }

        StringBuilder text = new();
        foreach (RespSession session in sessions)
            text.Append(ClientLine.Format(session)).Append('\n');
        context.Reply.Verbatim(text.ToString());
    }

    private static void SetName(CommandContext context)
    {
        if (!IsName(context.Argument(2)))
        {
            context.Reply.Error("ERR Client names cannot contain spaces, newlines or special characters.");
            return;
        }

        context.Session.Client.Name = context.Argument(2).ToArray();
        context.Reply.Ok();
    }

    private static void GetName(CommandContext context)
    {
        if (context.Session.Client.Name.Length == 0)
            context.Reply.Null();
        else
            context.Reply.BulkString(context.Session.Client.Name);
    }

    private static void Pause(CommandContext context)
    {
        bool writesOnly = false;
        if (context.ArgumentCount == 4)
        {
            writesOnly = Ascii.EqualsIgnoreCase(context.Argument(3), "write"u8);
            if (!writesOnly && !Ascii.EqualsIgnoreCase(context.Argument(3), "all"u8))
            {
                context.Reply.Error("ERR CLIENT PAUSE mode must be WRITE or ALL");
                return;
            }
        }
        else if (context.ArgumentCount > 4)
        {
            HelpTexts.UnknownSubcommand(context);
            return;
        }

        if (!RespRequestParser.TryNumber(context.Argument(2), out long milliseconds))
        {
            context.Reply.Error("ERR timeout is not an integer or out of range");
            return;
        }

        if (milliseconds < 0)
        {
            context.Reply.Error("ERR timeout is negative");
            return;
        }

        long until = milliseconds > long.MaxValue - context.NowMs ? long.MaxValue : context.NowMs + milliseconds;
        context.Server.Pause.Begin(until, writesOnly, context.NowMs);
        context.Reply.Ok();
    }

    private static void Unpause(CommandContext context)
    {
        context.Server.Pause.End();
        foreach (RespSession session in context.Server.Clients.All)
        {
            if (session.Suspended is PausedSuspension)
                session.Owner.Wake(session);
        }

        context.Reply.Ok();
    }

    private static void ReplyTo(CommandContext context)
    {
        ClientState client = context.Session.Client;
        ReadOnlySpan<byte> mode = context.Argument(2);
        if (Ascii.EqualsIgnoreCase(mode, "on"u8))
        {
            client.ReplyMode = ReplyMode.On;
            context.Reply.Ok();
        }
        else if (Ascii.EqualsIgnoreCase(mode, "off"u8))
        {
            client.ReplyMode = ReplyMode.Off;
            client.SilentFrom = context.Reply.Buffer.Length;
        }
        else if (Ascii.EqualsIgnoreCase(mode, "skip"u8))
        {
            if (client.ReplyMode != ReplyMode.Off)
                client.ReplyMode = ReplyMode.SkipNext;
        }
        else
        {
            context.Reply.Error("ERR syntax error");
        }
    }

    private static void NoEvict(CommandContext context)
    {
        bool on = Ascii.EqualsIgnoreCase(context.Argument(2), "on"u8);
        if (!on && !Ascii.EqualsIgnoreCase(context.Argument(2), "off"u8))
        {
            context.Reply.Error("ERR syntax error");
            return;
        }

        context.Session.Client.NoEvict = on;
        context.Server.ClientMemory.Unprotected();
        context.Reply.Ok();
    }

    private static void Unblock(CommandContext context)
    {
        bool withError = false;
        if (context.ArgumentCount == 4)
        {
            withError = Ascii.EqualsIgnoreCase(context.Argument(3), "error"u8);
            if (!withError && !Ascii.EqualsIgnoreCase(context.Argument(3), "timeout"u8))
            {
                context.Reply.Error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
                return;
            }
        }
        else if (context.ArgumentCount > 4)
        {
            HelpTexts.UnknownSubcommand(context);
            return;
        }

        if (!RespRequestParser.TryNumber(context.Argument(2), out long id))
        {
            context.Reply.Error("ERR value is not an integer or out of range");
            return;
        }

        if (context.Server.Clients.Find(id) is { Suspended: BlockedSuspension blocked } session)
        {
            blocked.UnblockedWithError = withError;
            session.Owner.Wake(session);
            context.Reply.Integer(1);
            return;
        }

        context.Reply.Integer(0);
    }

    private static void Help(CommandContext context) => HelpTexts.Write(
        context,
        "CACHING (YES|NO)",
        "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
        "GETREDIR",
        "    Return the client ID we are redirecting to when tracking is enabled.",
        "GETNAME",
        "    Return the name of the current connection.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "KILL <ip:port>",
        "    Kill connection made from <ip:port>.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Kill connections. Options are:",
        "    * ADDR (<ip:port>|<unixsocket>:0)",
        "      Kill connections made from the specified address",
        "    * LADDR (<ip:port>|<unixsocket>:0)",
        "      Kill connections made to specified local address",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Kill connections by type.",
        "    * USER <username>",
        "      Kill connections authenticated by <username>.",
        "    * SKIPME (YES|NO)",
        "      Skip killing current connection (default: yes).",
        "LIST [options ...]",
        "    Return information about client connections. Options:",
        "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
        "      Return clients of specified type.",
        "UNPAUSE",
        "    Stop the current client pause, resuming traffic.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Suspend all, or just write, clients for <timeout> milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Control the replies sent to the current connection.",
        "SETNAME <name>",
        "    Assign the name <name> to the current connection.",
        "UNBLOCK <clientid> [TIMEOUT|ERROR]",
        "    Unblock the specified blocked client.",
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
        "         [OPTIN] [OPTOUT] [NOLOOP]",
        "    Control server assisted client side caching.",
        "TRACKINGINFO",
        "    Report tracking status for the current connection.",
        "NO-EVICT (ON|OFF)",
        "    Protect current client connection from eviction.");
}

/// <summary>A client as CLIENT LIST writes it.</summary>
internal static class ClientLine
{
    public static string Format(RespSession session)
    {
        ClientState client = session.Client;
        long now = session.Server.Clock.NowMs;
        int multi = session.Transaction.IsOpen ? session.Transaction.Count : -1;
        int input = session.Input.Length;
        int output = session.Output.Length + session.PushBytes;
        int counted = Math.Max(output - ConnectionLimits.UncountedOutput, 0);
        return string.Create(
            CultureInfo.InvariantCulture,
            $"id={client.Id} addr={client.Address} laddr={client.LocalAddress} fd={client.FileDescriptor} name={Encoding.UTF8.GetString(client.Name)} age={(now - client.CreatedAtMs) / 1000} idle={(now - client.LastCommandAtMs) / 1000} flags={Flags(session)} db={session.DatabaseIndex} sub={session.Subscriptions.Channels.Count} psub={session.Subscriptions.Patterns.Count} ssub={session.Subscriptions.ShardChannels.Count} multi={multi} qbuf={input} qbuf-free={Math.Max(session.Buffers.InputBytes - input, 0)} argv-mem={SessionMemory.Arguments(session)} multi-mem={SessionMemory.Multi(session)} rbs={session.Buffers.ReplyBytes} rbp={output} obl={output - counted} oll={(counted + ConnectionLimits.UncountedOutput - 1) / ConnectionLimits.UncountedOutput} omem={counted} tot-mem={SessionMemory.Of(session)} events=r cmd={client.LastCommand} user={client.User} redir={Redirect(client)} resp={session.Reply.Protocol}");
    }

    private static long Redirect(ClientState client) => client.Tracking is null ? -1 : client.Tracking.Redirect;

    private static string Flags(RespSession session)
    {
        StringBuilder flags = new();
        if (session.Client.IsMonitor)
            flags.Append('O');
        if (session.Subscriptions.Any)
            flags.Append('P');
        if (session.Transaction.IsOpen)
            flags.Append('x');
        if (session.Suspended is BlockedSuspension or PausedSuspension)
            flags.Append('b');
        if (session.Client.Tracking is { } tracking)
            flags.Append(tracking.Broadcast ? "tB" : "t");
        if (session.Transaction.WatchBroken)
            flags.Append('d');
        if (session.ClosesAfterReplies)
            flags.Append('c');
        if (session.ClosesNow)
            flags.Append('A');
        if (session.Client.NoEvict)
            flags.Append('e');
        return flags.Length == 0 ? "N" : flags.ToString();
    }
}
