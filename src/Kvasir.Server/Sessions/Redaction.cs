using Kvasir.Server.Settings;


namespace Kvasir.Server.Sessions;

/// <summary>Which arguments are secrets: MONITOR and SLOWLOG show another word in their place.</summary>
internal static class Redaction
{
    private static readonly string[] s_secretSettings =
        ["requirepass", "masterauth", "masteruser", "tls-key-file-pass", "tls-client-key-file-pass"];

    public static ReadOnlySpan<byte> Text => "(redacted)"u8;

    public static bool Hides(CommandContext context, int argument)
    {
        if (argument == 0)
            return false;
        return context.Entry.FullName switch
        {
            "auth" => true,
            "hello" => FollowsAuth(context, argument),
            "config|set" => argument >= 3 && argument % 2 == 1 && IsSecret(context.Argument(argument - 1)),
            _ => false,
        };
    }

    private static bool FollowsAuth(CommandContext context, int argument) =>
        (argument >= 3 && OptionWords.Is(context.Argument(argument - 1), "auth"u8))
        || (argument >= 4 && OptionWords.Is(context.Argument(argument - 2), "auth"u8));

    private static bool IsSecret(ReadOnlySpan<byte> setting)
    {
        foreach (string name in s_secretSettings)
        {
            if (System.Text.Ascii.EqualsIgnoreCase(setting, name))
                return true;
        }

        return false;
    }
}
