namespace Kvasir.Server.Commands.Values;

/// <summary>How long a string may become by growing in place; what arrives over the wire is limited there.</summary>
internal static class StringLimits
{
    /// <summary>Redis's default for proto-max-bulk-len, so that the same arguments are refused with the same words.</summary>
    public const long BytesMax = 512L << 20;

    /// <summary>False, after answering so, when a string of this length is too long.</summary>
    public static bool Allow(CommandContext context, long length, long added)
    {
        if (length <= BytesMax && added <= BytesMax - length)
            return true;
        context.Reply.Error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
        return false;
    }
}
