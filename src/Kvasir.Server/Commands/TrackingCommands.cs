using System.Text;
using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>CLIENT TRACKING, CACHING, TRACKINGINFO, GETREDIR.</summary>
internal static class TrackingCommands
{
    public static void Tracking(CommandContext context)
    {
        TrackingState state = new();
        for (int i = 3; i < context.ArgumentCount; i++)
        {
            ReadOnlySpan<byte> option = context.Argument(i);
            bool more = i + 1 < context.ArgumentCount;
            if (Ascii.EqualsIgnoreCase(option, "redirect"u8) && more)
            {
                if (!TryRedirect(context, state, context.Argument(++i)))
                    return;
            }
            else if (Ascii.EqualsIgnoreCase(option, "prefix"u8) && more)
            {
                state.Prefixes.Add(context.Argument(++i).ToArray());
            }
            else if (Ascii.EqualsIgnoreCase(option, "bcast"u8))
            {
                state.Broadcast = true;
            }
            else if (Ascii.EqualsIgnoreCase(option, "optin"u8))
            {
                state.OptIn = true;
            }
            else if (Ascii.EqualsIgnoreCase(option, "optout"u8))
            {
                state.OptOut = true;
            }
            else if (Ascii.EqualsIgnoreCase(option, "noloop"u8))
            {
                state.NoLoop = true;
            }
            else
            {
                context.Reply.Error("ERR syntax error");
                return;
            }
        }

        if (Ascii.EqualsIgnoreCase(context.Argument(2), "off"u8))
        {
            context.Server.Tracking.Disable(context.Session);
            context.Reply.Ok();
            return;
        }

        if (!Ascii.EqualsIgnoreCase(context.Argument(2), "on"u8))
        {
            context.Reply.Error("ERR syntax error");
            return;
        }

        if (Objection(context.Session.Client.Tracking, state) is { } objection)
        {
            context.Reply.Error(objection);
            return;
        }

        // To name no prefix is to ask for every key, also beside prefixes named before.
        if (state.Broadcast && state.Prefixes.Count == 0)
            state.Prefixes.Add([]);
        if (context.Session.Client.Tracking is { Broadcast: true } current)
            state.Prefixes.AddRange(current.Prefixes.Where(p => !state.Prefixes.Exists(q => q.AsSpan().SequenceEqual(p))));
        state.Prefixes.Sort(static (a, b) => a.AsSpan().SequenceCompareTo(b));
        context.Server.Tracking.Enable(context.Session, state);
        context.Server.Events.Tracking = context.Server.Tracking;
        context.Reply.Ok();
    }

    public static void Caching(CommandContext context)
    {
        TrackingState? state = context.Session.Client.Tracking;
        if (state is null)
        {
            context.Reply.Error("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled");
            return;
        }

        bool yes = Ascii.EqualsIgnoreCase(context.Argument(2), "yes"u8);
        if (!yes && !Ascii.EqualsIgnoreCase(context.Argument(2), "no"u8))
            context.Reply.Error("ERR syntax error");
        else if (yes && !state.OptIn)
            context.Reply.Error("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
        else if (!yes && !state.OptOut)
            context.Reply.Error("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
        else
        {
            state.Caching = yes;
            context.Reply.Ok();
        }
    }

    public static void Info(CommandContext context)
    {
        RespWriter reply = context.Reply;
        TrackingState? state = context.Session.Client.Tracking;
        List<string> flags = [state is null ? "off" : "on"];
        if (state is not null)
        {
            if (state.Broadcast)
                flags.Add("bcast");
            if (state.OptIn)
                flags.Add("optin");
            if (state.OptOut)
                flags.Add("optout");
            if (state.Caching is { } caching)
                flags.Add(caching ? "caching-yes" : "caching-no");
            if (state.NoLoop)
                flags.Add("noloop");
            if (state.Redirect != 0 && context.Server.Clients.Find(state.Redirect) is null)
                flags.Add("broken_redirect");
        }

        reply.MapHeader(3);
        reply.BulkString("flags"u8);
        reply.SetHeader(flags.Count);
        foreach (string flag in flags)
            reply.BulkString(flag);
        reply.BulkString("redirect"u8);
        reply.Integer(state is null ? -1 : state.Redirect);
        reply.BulkString("prefixes"u8);
        reply.ArrayHeader(state?.Prefixes.Count ?? 0);
        foreach (byte[] prefix in state?.Prefixes ?? [])
            reply.BulkString(prefix);
    }

    public static void GetRedirect(CommandContext context) =>
        context.Reply.Integer(context.Session.Client.Tracking is { } state ? state.Redirect : -1);

    private static bool TryRedirect(CommandContext context, TrackingState state, ReadOnlySpan<byte> value)
    {
        if (state.Redirect != 0)
        {
            context.Reply.Error("ERR A client can only redirect to a single other client");
            return false;
        }

        if (!RespRequestParser.TryNumber(value, out long id))
        {
            context.Reply.Error("ERR value is not an integer or out of range");
            return false;
        }

        if (context.Server.Clients.Find(id) is null)
        {
            context.Reply.Error("ERR The client ID you want redirect to does not exist");
            return false;
        }

        state.Redirect = id;
        return true;
    }

    private static string? Objection(TrackingState? current, TrackingState wanted)
    {
        if (!wanted.Broadcast && wanted.Prefixes.Count != 0)
            return "ERR PREFIX option requires BCAST mode to be enabled";
        if (current is not null && current.Broadcast != wanted.Broadcast)
            return "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.";
        if (wanted.Broadcast && (wanted.OptIn || wanted.OptOut))
            return "ERR OPTIN and OPTOUT are not compatible with BCAST";
        if (wanted.OptIn && wanted.OptOut)
            return "ERR You can't specify both OPTIN mode and OPTOUT mode";
        if (current is not null && ((wanted.OptIn && current.OptOut) || (wanted.OptOut && current.OptIn)))
            return "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.";
        for (int i = 0; i < wanted.Prefixes.Count; i++)
        {
            byte[] prefix = wanted.Prefixes[i];
            if (current?.Prefixes.Find(p => Overlap(prefix, p)) is { } existing)
                return $"ERR Prefix '{Encoding.UTF8.GetString(prefix)}' overlaps with an existing prefix '{Encoding.UTF8.GetString(existing)}'. Prefixes for a single client must not overlap.";
            if (wanted.Prefixes.Skip(i + 1).FirstOrDefault(p => Overlap(prefix, p)) is { } other)
                return $"ERR Prefix '{Encoding.UTF8.GetString(prefix)}' overlaps with another provided prefix '{Encoding.UTF8.GetString(other)}'. Prefixes for a single client must not overlap.";
        }

        return null;
    }

    private static bool Overlap(byte[] a, byte[] b) => a.AsSpan().StartsWith(b) || b.AsSpan().StartsWith(a);
}
