namespace Kvasir.Simulation.Histories;

/// <summary>The words of history files, the same in both formats.</summary>
internal static class HistoryWords
{
    private static readonly string[] s_kinds = ["invoke", "ok", "fail", "info"];

    private static readonly string[] s_operations =
        ["read", "write", "cas", "increment", "append", "set-if-absent", "delete", "transfer", "exchange"];

    public static string Of(EventKind kind) => s_kinds[(int)kind];

    public static string Of(OperationKind operation) => s_operations[(int)operation];

    public static EventKind? Kind(string word) => Array.IndexOf(s_kinds, word) is >= 0 and int i ? (EventKind)i : null;

    public static OperationKind? Operation(string word) => Array.IndexOf(s_operations, word) is >= 0 and int i ? (OperationKind)i : null;
}

/// <summary>The fields of one line as they are found, in any order, and what is missing at the end.</summary>
internal struct HistoryFields
{
    private HistoryValue _key;
    private HistoryValue _value;
    private string? _kind;
    private string? _operation;
    private long? _process;
    private long? _time;
    private long? _age;
    private bool _isNemesis;

    /// <summary>Takes a field; fields of other names are those of other tools, and passed over.</summary>
    public void Take(string name, HistoryValue value, int line)
    {
        switch (name)
        {
            case "process" when value.IsText:
                // Jepsen's own hand, that breaks things, has a name instead of a number.
                _isNemesis = true;
                break;
            case "process":
                _process = Number(name, value, line);
                break;
            case "type":
                _kind = Word(name, value, line);
                break;
            case "f":
                _operation = Word(name, value, line);
                break;
            case "key":
                _key = value;
                break;
            case "value":
                _value = value;
                break;
            case "time":
                _time = Number(name, value, line);
                break;
            case "age":
                _age = value.IsNil ? null : Number(name, value, line);
                break;
            default:
                break;
        }
    }

    /// <summary>False for a line that tells of no client.</summary>
    public readonly bool TryMake(int line, out HistoryEvent made)
    {
        made = default;
        if (_isNemesis)
            return false;
        if (_process is not (>= 0 and <= int.MaxValue))
            throw new HistoryFormatException(line, _process is null ? "there is no process" : "the process is no number from 0 to 2147483647");
        EventKind kind = HistoryWords.Kind(_kind ?? throw new HistoryFormatException(line, "there is no type"))
            ?? throw new HistoryFormatException(line, $"the type is invoke, ok, fail or info, not '{_kind}'");
        OperationKind operation = HistoryWords.Operation(_operation ?? throw new HistoryFormatException(line, "there is no f, the operation"))
            ?? throw new HistoryFormatException(line, $"the operation '{_operation}' is not known");
        if (_age < 0)
            throw new HistoryFormatException(line, "the age is below zero");
        string key = _key.IsText ? _key.Text : _key.IsNil ? "" : _key.ToString();
        made = new HistoryEvent((int)_process, kind, operation, key, _value, _time ?? line, _age);
        return true;
    }

    private static long Number(string name, HistoryValue value, int line) =>
        value.IsNumber ? value.Number : throw new HistoryFormatException(line, $"the {name} is no whole number");

    private static string Word(string name, HistoryValue value, int line) =>
        value.IsText ? value.Text : throw new HistoryFormatException(line, $"the {name} is no word");
}
