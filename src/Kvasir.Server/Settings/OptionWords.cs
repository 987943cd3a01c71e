using System.Text;

namespace Kvasir.Server.Settings;

/// <summary>Compares words of a command line.</summary>
internal static class OptionWords
{
    /// <summary>Whether an option is this word, which is given in lower case, whatever the case of its letters.</summary>
    public static bool Is(ReadOnlySpan<byte> option, ReadOnlySpan<byte> word) => Ascii.EqualsIgnoreCase(option, word);
}
