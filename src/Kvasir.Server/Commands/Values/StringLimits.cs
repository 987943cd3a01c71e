using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands.Values;

/// <summary>
/// How long a string may become by growing in place: as long as one that arrives over the wire (proto-max-bulk-len).
/// </summary>
internal static class StringLimits
{
    /// <summary>Whatever the setting says: a value and its header must fit one buffer.</summary>
    private const long BytesMaxHard = 1L << 30;

    public static long BytesMax(CommandContext context) =>
        Math.Min(BytesMaxOfRequests(context), WriteAdmission.ValueBytesMax(context.Database));

    /// <summary>Whatever the engine takes.</summary>
    public static long BytesMaxOfRequests(CommandContext context) => Math.Min(context.Server.RequestLimits.BulkBytesMax, BytesMaxHard);

    /// <summary>False, after answering so, when a string of this length is too long.</summary>
    public static bool Allow(CommandContext context, long length, long added)
    {
        long max = BytesMax(context);
        if (length <= max && added <= max - length)
            return true;
        if (max < BytesMaxOfRequests(context))
            WriteAdmission.RefuseValue(context, context.Database);
        else
            context.Reply.Error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
        return false;
    }
}
