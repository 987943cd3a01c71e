using System.Text;

namespace Kvasir.Server.Settings;

/// <summary>The letters of notify-keyspace-events.</summary>
internal static class KeyEventFlags
{
    private static readonly (char Letter, KeyEventClass Class)[] s_letters =
    [
        ('g', KeyEventClass.Generic), ('$', KeyEventClass.String), ('l', KeyEventClass.List), ('s', KeyEventClass.Set),
        ('h', KeyEventClass.Hash), ('z', KeyEventClass.SortedSet), ('x', KeyEventClass.Expired),
        ('e', KeyEventClass.Evicted), ('t', KeyEventClass.Stream), ('d', KeyEventClass.Module), ('n', KeyEventClass.New),
    ];

    public static bool TryParse(string text, out KeyEventClass flags)
    {
        flags = KeyEventClass.None;
        foreach (char c in text)
        {
            KeyEventClass one = c switch
            {
                'A' => KeyEventClass.All,
                'K' => KeyEventClass.Keyspace,
                'E' => KeyEventClass.Keyevent,
                'm' => KeyEventClass.Miss,
                _ => s_letters.FirstOrDefault(l => l.Letter == c).Class,
            };
            if (one == KeyEventClass.None)
                return false;
            flags |= one;
        }

        return true;
    }

    /// <summary>As CONFIG GET gives it back: A for all that A means. Redis forgets to show an n beside it; here it is shown, and so kept.</summary>
    public static string Format(KeyEventClass flags)
    {
        StringBuilder text = new();
        if ((flags & KeyEventClass.All) == KeyEventClass.All)
        {
            text.Append('A');
            if ((flags & KeyEventClass.New) != 0)
                text.Append('n');
        }
        else
        {
            foreach ((char letter, KeyEventClass one) in s_letters)
            {
                if ((flags & one) != 0)
                    text.Append(letter);
            }
        }

        if ((flags & KeyEventClass.Keyspace) != 0)
            text.Append('K');
        if ((flags & KeyEventClass.Keyevent) != 0)
            text.Append('E');
        if ((flags & KeyEventClass.Miss) != 0)
            text.Append('m');
        return text.ToString();
    }
}
