using System.Text;
using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>CLIENT KILL in its old form, by address, and its new one, by filters.</summary>
internal static class ClientKill
{
    public static void Run(CommandContext context)
    {
        if (context.ArgumentCount == 3)
        {
            KillAddress(context, Encoding.UTF8.GetString(context.Argument(2)));
            return;
        }

        long? id = null;
        string? type = null;
        string? address = null;
        string? localAddress = null;
        string? user = null;
        bool skipMe = true;
        for (int i = 2; i < context.ArgumentCount; i += 2)
        {
            ReadOnlySpan<byte> option = context.Argument(i);
            if (i + 1 >= context.ArgumentCount)
            {
                context.Reply.Error("ERR syntax error");
                return;
            }

            ReadOnlySpan<byte> value = context.Argument(i + 1);
            if (Ascii.EqualsIgnoreCase(option, "id"u8))
            {
                if (!RespRequestParser.TryNumber(value, out long number) || number < 1)
                {
                    context.Reply.Error("ERR client-id should be greater than 0");
                    return;
                }

                id = number;
            }
            else if (Ascii.EqualsIgnoreCase(option, "type"u8))
            {
                type = ClientCommands.TypeOf(value);
                if (type is null)
                {
                    context.Reply.ErrorAbout("ERR Unknown client type '"u8, value, "'"u8);
                    return;
                }
            }
            else if (Ascii.EqualsIgnoreCase(option, "addr"u8))
            {
                address = Encoding.UTF8.GetString(value);
            }
            else if (Ascii.EqualsIgnoreCase(option, "laddr"u8))
            {
                localAddress = Encoding.UTF8.GetString(value);
            }
            else if (Ascii.EqualsIgnoreCase(option, "user"u8))
            {
                user = Encoding.UTF8.GetString(value);
                if (!string.Equals(user, "default", StringComparison.Ordinal))
                {
                    context.Reply.Error($"ERR No such user '{user}'");
                    return;
                }
            }
            else if (Ascii.EqualsIgnoreCase(option, "skipme"u8) && Ascii.EqualsIgnoreCase(value, "yes"u8))
            {
                skipMe = true;
            }
            else if (Ascii.EqualsIgnoreCase(option, "skipme"u8) && Ascii.EqualsIgnoreCase(value, "no"u8))
            {
                skipMe = false;
            }
            else
            {
                context.Reply.Error("ERR syntax error");
                return;
            }
        }

        int killed = 0;
        foreach (RespSession session in context.Server.Clients.All)
        {
            if ((id is not null && session.Client.Id != id)
                || (type is not null && !ClientCommands.IsOfType(session, type))
                || (address is not null && !string.Equals(address, session.Client.Address, StringComparison.Ordinal))
                || (localAddress is not null && !string.Equals(localAddress, session.Client.LocalAddress, StringComparison.Ordinal))
                || (user is not null && !session.Client.Authenticated)
                || (skipMe && ReferenceEquals(session, context.Session)))
            {
                continue;
            }

            Kill(context, session);
            killed++;
        }

        context.Reply.Integer(killed);
    }

    private static void KillAddress(CommandContext context, string address)
    {
        foreach (RespSession session in context.Server.Clients.All)
        {
            if (!string.Equals(session.Client.Address, address, StringComparison.Ordinal))
                continue;
            Kill(context, session);
            context.Reply.Ok();
            return;
        }

        context.Reply.Error("ERR No such client");
    }

    private static void Kill(CommandContext context, RespSession session)
    {
        if (ReferenceEquals(session, context.Session))
            session.ClosesAfterReplies = true;
        else
            session.Kill();
    }
}
