using Kvasir.Primitives;
using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;

namespace Kvasir.Server.Commands.Strings;

/// <summary>Parts of strings.</summary>
internal static class RangeCommands
{
    public static void Append(CommandContext context)
    {
        ReadOnlySpan<byte> key = context.Argument(1);
        ReadOnlySpan<byte> added = context.Argument(2);
        if (!KeyAccess.TryFindString(context, key, out KeyLookup found))
            return;
        if (!found.Exists)
        {
            KeyAccess.Put(context, key, ValueHeader.PlainString, added, expiresAtMs: 0, found);
        }
        else
        {
            if (!StringLimits.Allow(context, context.Value.Length - 1, added.Length))
                return;
            context.Value.Append(added);
            KeyAccess.Put(
                context, key, ValueHeader.RawString, KeyAccess.Content(context.Value), found.ExpiresAtMs, found);
        }

        context.Changed(KeyEventClass.String, "append"u8, key);
        context.Reply.Integer(found.Exists ? context.Value.Length - 1 : added.Length);
    }

    public static void StrLen(CommandContext context)
    {
        if (KeyAccess.TryReadString(context, context.Argument(1), out _))
            context.Reply.Integer(KeyAccess.Content(context.Value).Length);
    }

    public static void GetRange(CommandContext context)
    {
        if (!NumberText.TryArgument(context, 2, out long start) || !NumberText.TryArgument(context, 3, out long end))
            return;
        if (!KeyAccess.TryReadString(context, context.Argument(1), out _))
            return;
        ReadOnlySpan<byte> value = KeyAccess.Content(context.Value);
        long length = value.Length;
        if (start < 0 && end < 0 && start > end)
        {
            context.Reply.BulkString([]);
            return;
        }

        if (start < 0)
            start = Math.Max(start + length, 0);
        if (end < 0)
            end = Math.Max(end + length, 0);
        end = Math.Min(end, length - 1);
        context.Reply.BulkString(start > end || length == 0 ? [] : value[(int)start..(int)(end + 1)]);
    }

    public static void SetRange(CommandContext context)
    {
        if (!NumberText.TryArgument(context, 2, out long offset))
            return;
        if (offset < 0)
        {
            context.Reply.Error("ERR offset is out of range");
            return;
        }

        ReadOnlySpan<byte> key = context.Argument(1);
        ReadOnlySpan<byte> part = context.Argument(3);
        BytesBuffer value = context.Value;
        if (!KeyAccess.TryFindString(context, key, out KeyLookup found))
            return;
        if (part.IsEmpty)
        {
            context.Reply.Integer(KeyAccess.Content(value).Length);
            return;
        }

        if (!StringLimits.Allow(context, offset, part.Length))
            return;
        Span<byte> bytes = Widen(value, (int)offset + part.Length);
        if (!WriteAdmission.AdmitsRewrite(context, context.Database, key, bytes))
            return;
        part.CopyTo(bytes[(int)offset..]);
        KeyAccess.Put(context, key, ValueHeader.RawString, bytes, found.ExpiresAtMs, found);
        context.Changed(KeyEventClass.String, "setrange"u8, key);
        context.Reply.Integer(bytes.Length);
    }

    /// <summary>
    /// The content of a value that was looked up, absent or not, padded with zeros to at least so many bytes.
    /// </summary>
    public static Span<byte> Widen(BytesBuffer value, int lengthMin)
    {
        if (value.Length == 0)
            value.Append(ValueHeader.RawString);
        int missing = lengthMin + 1 - value.Length;
        if (missing > 0)
        {
            value.GetSpan(missing)[..missing].Clear();
            value.Advance(missing);
        }

        return value.WrittenSpan[1..];
    }
}
