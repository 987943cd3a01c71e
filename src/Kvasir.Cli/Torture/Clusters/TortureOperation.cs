using System.Globalization;
using Kvasir.Cli.Shell;
using Kvasir.Primitives;
using Kvasir.Simulation.Histories;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Torture.Clusters;

/// <summary>One command of a client, as the server gets it and as the history has it.</summary>
/// <param name="Kind">What it is in a history.</param>
/// <param name="Key">Whose.</param>
/// <param name="Argument">What it asks for.</param>
/// <param name="Words">What is sent.</param>
internal readonly record struct TortureOperation(OperationKind Kind, string Key, HistoryValue Argument, string[] Words)
{
    // All items of a list are as long as each other, so that the length of the value says how many there are.
    private const int ItemBytes = 12;

    private static readonly HistoryValue s_yes = HistoryValue.Of(1);
    private static readonly HistoryValue s_no = HistoryValue.Of(0);

    public bool IsWrite => Kind != OperationKind.Read;

    /// <param name="kind">Of the key.</param>
    /// <param name="key">Its name.</param>
    /// <param name="random">Chooses.</param>
    /// <param name="unique">A number that no other operation has.</param>
    public static TortureOperation Choose(KeyKind kind, string key, SeededRandom random, long unique)
    {
        string text = unique.ToString(CultureInfo.InvariantCulture);
        HistoryValue value = HistoryValue.Of(unique);
        int draw = random.Next(100);
        switch (kind)
        {
            case KeyKind.Register:
                return draw switch
                {
                    < 40 => Read(key),
                    < 60 => new(OperationKind.Write, key, value, ["SET", key, text]),
                    < 85 => new(OperationKind.Exchange, key, value, ["SET", key, text, "GET"]),
                    < 95 => new(OperationKind.SetIfAbsent, key, value, ["SET", key, text, "NX"]),
                    _ => new(OperationKind.Delete, key, default, ["DEL", key]),
                };
            case KeyKind.Counter:
                return draw switch
                {
                    < 30 => Read(key),
                    < 90 => new(OperationKind.Increment, key, default, ["INCR", key]),
                    _ => new(OperationKind.Increment, key, HistoryValue.Of(-3), ["DECRBY", key, "3"]),
                };
            default:
                return draw < 40
                    ? Read(key)
                    : new(OperationKind.Append, key, value, ["APPEND", key, Item(unique)]);
        }
    }

    public static TortureOperation Read(string key) => new(OperationKind.Read, key, default, ["GET", key]);

    /// <summary>What a reply that is no error says in a history. Throws when it cannot be one to this command.</summary>
    public HistoryValue ResultOf(KeyKind kind, RespReply reply)
    {
        bool isNull = reply.Kind == RespReplyKind.Null;
        bool isText = reply.Kind == RespReplyKind.BulkString;
        long number = 0;
        bool isNumber = reply.Kind == RespReplyKind.Integer && long.TryParse(reply.Text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out number);
        bool isOk = reply is { Kind: RespReplyKind.SimpleString, Text: "OK" };
        return Kind switch
        {
            OperationKind.Read or OperationKind.Exchange when isNull => HistoryValue.Nil,
            OperationKind.Read or OperationKind.Exchange when isText => ValueOf(kind, reply.Text),
            OperationKind.Write when isOk => default,
            OperationKind.SetIfAbsent when isOk => s_yes,
            OperationKind.SetIfAbsent when isNull => s_no,
            OperationKind.Delete when isNumber => HistoryValue.Of(number),
            OperationKind.Increment when isNumber => HistoryValue.Of(number),
            OperationKind.Append when isNumber && number % ItemBytes == 0 => HistoryValue.Of(number / ItemBytes),
            _ => throw new BrokenPromiseException($"{string.Join(' ', Words)} was answered {reply.Kind} {reply.Text}"),
        };
    }

    /// <summary>What stands in a key. What nobody can have written stays a text: no order explains it.</summary>
    private static HistoryValue ValueOf(KeyKind kind, string text)
    {
        if (kind == KeyKind.List && text.Length % ItemBytes == 0)
        {
            HistoryValue[] items = new HistoryValue[text.Length / ItemBytes];
            for (int i = 0; i < items.Length; i++)
            {
                ReadOnlySpan<char> item = text.AsSpan(i * ItemBytes, ItemBytes - 1);
                if (!long.TryParse(item, NumberStyles.AllowLeadingWhite, CultureInfo.InvariantCulture, out long number) || text[((i + 1) * ItemBytes) - 1] != ';')
                    return HistoryValue.Of(text);
                items[i] = HistoryValue.Of(number);
            }

            return HistoryValue.Of(items);
        }

        return kind != KeyKind.List && long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value)
            ? HistoryValue.Of(value)
            : HistoryValue.Of(text);
    }

    private static string Item(long number) => number.ToString(CultureInfo.InvariantCulture).PadLeft(ItemBytes - 1) + ";";
}

/// <summary>A server said or did what no correct one can; the message says what.</summary>
internal sealed class BrokenPromiseException : Exception
{
    public BrokenPromiseException() { }

    public BrokenPromiseException(string message) : base(message) { }

    public BrokenPromiseException(string message, Exception? inner) : base(message, inner) { }
}
