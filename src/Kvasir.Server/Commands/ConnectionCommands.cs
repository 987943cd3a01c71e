using System.Security.Cryptography;
using System.Text;
using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>PING, ECHO, SELECT, HELLO, AUTH, RESET, QUIT.</summary>
internal static class ConnectionCommands
{
    private const CommandFlags Basic = CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast;

    public static IEnumerable<CommandDefinition> All =>
    [
        new() { Name = "ping", Arity = -1, Flags = CommandFlags.Fast, Handler = Ping, Group = "connection" },
        new() { Name = "echo", Arity = 2, Flags = CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast, Handler = static c => c.Reply.BulkString(c.Argument(1)), Group = "connection" },
        new() { Name = "select", Arity = 2, Flags = CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Fast, Handler = Select, Group = "connection" },
        new() { Name = "hello", Arity = -1, Flags = Basic | CommandFlags.NoAuth | CommandFlags.AllowBusy, Handler = Hello, Group = "connection" },
        new() { Name = "auth", Arity = -2, Flags = Basic | CommandFlags.NoAuth | CommandFlags.AllowBusy, Handler = Auth, Group = "connection" },
        new() { Name = "reset", Arity = 1, Flags = Basic | CommandFlags.NoAuth | CommandFlags.AllowBusy, Handler = Reset, Group = "connection" },
        new() { Name = "quit", Arity = -1, Flags = Basic | CommandFlags.NoAuth | CommandFlags.AllowBusy, Handler = Quit, Group = "connection" },
    ];

    private static void Ping(CommandContext context)
    {
        if (context.ArgumentCount > 2)
        {
            context.Reply.Error("ERR wrong number of arguments for 'ping' command");
            return;
        }

        if (context.Reply.Protocol == 2 && context.Session.Subscriptions.Any)
        {
            context.Reply.ArrayHeader(2);
            context.Reply.BulkString("pong"u8);
            context.Reply.BulkString(context.ArgumentCount == 2 ? context.Argument(1) : default);
        }
        else if (context.ArgumentCount == 2)
        {
            context.Reply.BulkString(context.Argument(1));
        }
        else
        {
            context.Reply.SimpleString("PONG"u8);
        }
    }

    private static void Select(CommandContext context)
    {
        if (!RespRequestParser.TryNumber(context.Argument(1), out long index))
        {
            // Those that were made by a name.
            int named = context.FindKeyspace(context.Argument(1));
            if (named >= 0)
                SelectIndex(context, named);
            else
                context.Reply.Error(KeyspaceName.UnknownDatabase(context.Argument(1)));
            return;
        }

        if (index is < int.MinValue or > int.MaxValue)
        {
            context.Reply.Error($"ERR value is out of range, value must between {int.MinValue} and {int.MaxValue}");
            return;
        }

        if (index < 0 || index >= context.Node.DatabaseCount || (context.Node.Alone is not null && context.Node.ReplicasOf((int)index).IsEmpty))
        {
            context.Reply.Error("ERR DB index is out of range");
            return;
        }

        SelectIndex(context, (int)index);
    }

    private static void SelectIndex(CommandContext context, int index)
    {
        context.Session.DatabaseIndex = index;
        context.Session.IsDatabaseGone = false;
        context.Reply.Ok();
    }

    private static void Quit(CommandContext context)
    {
        context.Reply.Ok();
        context.Session.ClosesAfterReplies = true;
    }

    private static void Reset(CommandContext context)
    {
        RespSession session = context.Session;
        ServerState server = context.Server;
        session.Transaction.End();
        server.Watches.RemoveAll(session);
        session.StaleMaxMs = session.ReadAgeMs = 0;
        session.ToldLeaders = null;
        server.PubSub.RemoveAll(session);
        server.Monitors.Remove(session);
        server.Tracking.Disable(session);
        session.Client.IsMonitor = false;

        // A reply that was to be skipped is skipped, this one, too.
        if (session.Client.ReplyMode != ReplyMode.Skip)
            session.Client.ReplyMode = ReplyMode.On;
        session.Client.Name = [];
        session.Client.NoEvict = false;
        session.DatabaseIndex = 0;
        session.IsDatabaseGone = false;
        context.Reply.Protocol = 2;
        session.Client.Authenticated = !server.RequiresPassword;
        session.Parser.Authenticated = session.Client.Authenticated;
        context.Reply.SimpleString("RESET"u8);
    }

    private static void Auth(CommandContext context)
    {
        if (context.ArgumentCount > 3)
        {
            context.Reply.Error("ERR syntax error");
            return;
        }

        if (context.ArgumentCount == 2 && !context.Server.RequiresPassword)
        {
            context.Reply.Error("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?");
            return;
        }

        ReadOnlySpan<byte> user = context.ArgumentCount == 3 ? context.Argument(1) : "default"u8;
        if (TryAuthenticate(context, user, context.Argument(context.ArgumentCount - 1)))
            context.Reply.Ok();
    }

    private static bool TryAuthenticate(CommandContext context, ReadOnlySpan<byte> user, ReadOnlySpan<byte> password)
    {
        ServerState server = context.Server;
        if (!user.SequenceEqual("default"u8)
            || (server.RequiresPassword
                && !CryptographicOperations.FixedTimeEquals(
                    SHA256.HashData(password), SHA256.HashData(Encoding.UTF8.GetBytes(server.Password)))))
        {
            context.Reply.Error("WRONGPASS invalid username-password pair or user is disabled.");
            return false;
        }

        context.Session.Client.Authenticated = true;
        context.Session.Parser.Authenticated = true;
        return true;
    }

    private static void Hello(CommandContext context)
    {
        int protocol = context.Reply.Protocol;
        int next = 1;
        if (context.ArgumentCount >= 2)
        {
            if (!RespRequestParser.TryNumber(context.Argument(1), out long version))
            {
                context.Reply.Error("ERR Protocol version is not an integer or out of range");
                return;
            }

            if (version is not (2 or 3))
            {
                context.Reply.Error("NOPROTO unsupported protocol version");
                return;
            }

            protocol = (int)version;
            next = 2;
        }

        byte[]? name = null;
        while (next < context.ArgumentCount)
        {
            ReadOnlySpan<byte> option = context.Argument(next);
            int more = context.ArgumentCount - 1 - next;
            if (Ascii.EqualsIgnoreCase(option, "auth"u8) && more >= 2)
            {
                if (!TryAuthenticate(context, context.Argument(next + 1), context.Argument(next + 2)))
                    return;
                next += 3;
            }
            else if (Ascii.EqualsIgnoreCase(option, "setname"u8) && more >= 1)
            {
                name = context.Argument(next + 1).ToArray();
                if (!ClientCommands.IsName(name))
                {
                    context.Reply.Error("ERR Client names cannot contain spaces, newlines or special characters.");
                    return;
                }

                next += 2;
            }
            else
            {
                context.Reply.ErrorAbout("ERR Syntax error in HELLO option '"u8, option, "'"u8);
                return;
            }
        }

        if (!context.Session.Client.Authenticated && context.Server.RequiresPassword)
        {
            context.Reply.Error("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time");
            return;
        }

        if (name is not null)
            context.Session.Client.Name = name;
        context.Reply.Protocol = protocol;
        WriteHello(context);
    }

    private static void WriteHello(CommandContext context)
    {
        RespWriter reply = context.Reply;
        reply.MapHeader(7);
        reply.BulkString("server"u8);
        reply.BulkString("redis"u8);
        reply.BulkString("version"u8);
        reply.BulkString(ServerIdentity.RedisVersion);
        reply.BulkString("proto"u8);
        reply.Integer(reply.Protocol);
        reply.BulkString("id"u8);
        reply.Integer(context.Session.Client.Id);
        reply.BulkString("mode"u8);
        reply.BulkString(context.Server.Mode);
        reply.BulkString("role"u8);
        reply.BulkString("master"u8);
        reply.BulkString("modules"u8);
        reply.ArrayHeader(0);
    }
}
