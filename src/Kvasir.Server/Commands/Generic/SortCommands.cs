using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;

namespace Kvasir.Server.Commands.Generic;

/// <summary>SORT: of the types that it sorts none exists yet, so a key is either missing or of the wrong type.</summary>
internal static class SortCommands
{
    public static void Sort(CommandContext context) => Run(context, readOnly: false);

    /// <summary>Where the key stands that the last STORE names; 0 for nowhere.</summary>
    public static int FindStore(CommandContext context)
    {
        int found = 0;
        for (int i = 2; i + 1 < context.ArgumentCount; i++)
        {
            if (OptionWords.Is(context.Argument(i), "store"u8))
                found = ++i;
        }

        return found;
    }

    public static void SortReadOnly(CommandContext context) => Run(context, readOnly: true);

    private static void Run(CommandContext context, bool readOnly)
    {
        if (!TryParse(context, readOnly, out int storeArgument))
            return;
        if (KeyAccess.Read(context, context.Argument(1)).Exists)
        {
            KeyAccess.ReplyWrongType(context);
            return;
        }

        if (storeArgument == 0)
        {
            context.Reply.ArrayHeader(0);
            return;
        }

        ReadOnlySpan<byte> target = context.Argument(storeArgument);
        KeyLookup previous = KeyAccess.FindKey(context, target);
        if (previous.Exists)
        {
            KeyAccess.Delete(context, target, previous);
            context.Changed(KeyEventClass.Generic, "del"u8, target);
        }

        context.Reply.Integer(0);
    }

    private static bool TryParse(CommandContext context, bool readOnly, out int storeArgument)
    {
        storeArgument = 0;
        for (int i = 2; i < context.ArgumentCount; i++)
        {
            ReadOnlySpan<byte> word = context.Argument(i);
            int rest = context.ArgumentCount - i - 1;
            if (OptionWords.Is(word, "asc"u8) || OptionWords.Is(word, "desc"u8) || OptionWords.Is(word, "alpha"u8))
                continue;
            if (rest >= 2 && OptionWords.Is(word, "limit"u8))
            {
                if (!NumberText.TryArgument(context, i + 1, out _) || !NumberText.TryArgument(context, i + 2, out _))
                    return false;
                i += 2;
            }
            else if (!readOnly && rest >= 1 && OptionWords.Is(word, "store"u8))
            {
                storeArgument = ++i;
            }
            else if (rest >= 1 && (OptionWords.Is(word, "by"u8) || OptionWords.Is(word, "get"u8)))
            {
                i++;
            }
            else
            {
                context.Reply.Error("ERR syntax error");
                return false;
            }
        }

        return true;
    }
}
