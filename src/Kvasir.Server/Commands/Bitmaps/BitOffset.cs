using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands.Bitmaps;

/// <summary>Reads the place of a bit in a string; bit 0 is the highest of the first byte.</summary>
internal static class BitOffset
{
    private const string OutOfRange = "ERR bit offset is not an integer or out of range";

    /// <summary>False after answering why not. With <paramref name="width"/>, <c>#n</c> means n times the width.</summary>
    /// <param name="context">Of the command.</param>
    /// <param name="index">Of the argument.</param>
    /// <param name="writes">The string is to reach as far, and so no further than its engine takes one.</param>
    /// <param name="offset">Of the bit.</param>
    /// <param name="width">Of what begins there.</param>
    public static bool TryArgument(CommandContext context, int index, bool writes, out long offset, int width = 0)
    {
        ReadOnlySpan<byte> text = context.Argument(index);
        bool scaled = width > 0 && !text.IsEmpty && text[0] == '#';
        if (NumberText.TryParseInt64(scaled ? text[1..] : text, out offset))
        {
            if (scaled)
                offset = unchecked(offset * width);
            if (offset >= 0 && offset >> 3 < StringLimits.BytesMaxOfRequests(context))
            {
                if (!writes || offset >> 3 < StringLimits.BytesMax(context))
                    return true;
                WriteAdmission.RefuseValue(context, context.Database);
                return false;
            }
        }

        context.Reply.Error(OutOfRange);
        return false;
    }
}
