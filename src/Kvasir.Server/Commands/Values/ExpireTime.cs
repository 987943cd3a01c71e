using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands.Values;

/// <summary>How a command gave a deadline: relative or absolute, in seconds or milliseconds.</summary>
internal enum ExpireForm
{
    None,
    Seconds,
    Milliseconds,
    UnixSeconds,
    UnixMilliseconds,
}

/// <summary>Turns the number of an EX, PX, EXAT or PXAT option into an absolute deadline.</summary>
internal static class ExpireTime
{
    /// <summary>False, after answering why, when the number is none, not positive, or reaches past the end of time.</summary>
    public static bool TryRead(CommandContext context, int argument, ExpireForm form, out long expiresAtMs)
    {
        if (!NumberText.TryArgument(context, argument, out expiresAtMs))
            return false;
        bool seconds = form is ExpireForm.Seconds or ExpireForm.UnixSeconds;
        if (expiresAtMs > 0 && !(seconds && expiresAtMs > long.MaxValue / 1000))
        {
            if (seconds)
                expiresAtMs *= 1000;
            if (form is ExpireForm.Seconds or ExpireForm.Milliseconds)
                expiresAtMs = unchecked(expiresAtMs + context.NowMs);
            if (expiresAtMs > 0)
                return true;
        }

        ReplyInvalid(context);
        return false;
    }

    public static void ReplyInvalid(CommandContext context) =>
        context.Reply.Error($"ERR invalid expire time in '{context.Command.Name}' command");
}
