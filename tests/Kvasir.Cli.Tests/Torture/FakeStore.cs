using System.Globalization;

namespace Kvasir.Cli.Tests.Torture;

/// <summary>The commands that clients of a torture send, on one honest copy; and room for a test to answer otherwise.</summary>
internal sealed class FakeStore
{
    private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);

    /// <summary>Asked first, under the lock; an answer stands instead of the honest one.</summary>
    public Func<string[], Dictionary<string, string>, Verdict>? Instead { get; set; }

    /// <param name="Answer">In RESP; null closes the connection.</param>
    /// <param name="IsAnswered">Whether it stands.</param>
    internal readonly record struct Verdict(string? Answer, bool IsAnswered)
    {
        public static Verdict Honest => default;

        public static readonly Verdict Closed = new(null, true);

        public static Verdict Of(string answer) => new(answer, true);
    }

    public string? Answer(string[] words)
    {
        lock (_values)
        {
            Verdict verdict = Instead?.Invoke(words, _values) ?? Verdict.Honest;
            return verdict.IsAnswered ? verdict.Answer : Apply(words);
        }
    }

    public string Apply(string[] words)
    {
        _values.TryGetValue(words.Length > 1 ? words[1] : "", out string? old);
        switch (words[0])
        {
            case "GET":
                return Bulk(old);
            case "SET" when words.Length > 3 && words[3] == "NX" && old is not null:
                return "$-1\r\n";
            case "SET":
                _values[words[1]] = words[2];
                return words.Length > 3 && words[3] == "GET" ? Bulk(old) : "+OK\r\n";
            case "DEL":
                return ScriptedServer.Number(_values.Remove(words[1]) ? 1 : 0);
            case "INCR" or "DECRBY":
                long number = long.Parse(old ?? "0", CultureInfo.InvariantCulture) + (words[0] == "INCR" ? 1 : -long.Parse(words[2], CultureInfo.InvariantCulture));
                _values[words[1]] = number.ToString(CultureInfo.InvariantCulture);
                return ScriptedServer.Number(number);
            case "APPEND":
                _values[words[1]] = old + words[2];
                return ScriptedServer.Number(_values[words[1]].Length);
            default:
                return "-ERR unknown command\r\n";
        }
    }

    private static string Bulk(string? text) => text is null ? "$-1\r\n" : ScriptedServer.Text(text);
}
