namespace Kvasir.Cli.Torture.Clusters;

/// <summary>What an error says of the write that it answers.</summary>
internal enum ErrorMeaning
{
    /// <summary>It did not take effect and will not.</summary>
    Definite,

    /// <summary>It may have taken effect, or may yet.</summary>
    Indeterminate,

    /// <summary>An error that a client of this load should never see.</summary>
    Unexpected,
}

/// <summary>Reads errors as docs/consistency.md lists them.</summary>
internal static class ErrorWords
{
    private static readonly string[] s_definite =
        ["NOTLEADER", "TRYAGAIN", "CLUSTERDOWN", "MOVED", "LOADING", "MISCONF", "OOM", "READONLY"];

    public static ErrorMeaning MeaningOf(string text)
    {
        string word = WordOf(text);
        if (word == "TIMEOUT" || text.Contains("unknown until", StringComparison.Ordinal) || text.Contains("outcome unknown", StringComparison.Ordinal)
            || text.Contains("outcome is unknown", StringComparison.Ordinal))
            return ErrorMeaning.Indeterminate;
        return Array.IndexOf(s_definite, word) >= 0 ? ErrorMeaning.Definite : ErrorMeaning.Unexpected;
    }

    /// <summary>The first word: the kind of the error.</summary>
    public static string WordOf(string text)
    {
        int space = text.IndexOf(' ', StringComparison.Ordinal);
        return space < 0 ? text : text[..space];
    }
}
