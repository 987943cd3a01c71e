using System.Globalization;
using System.Net;
using Kvasir.Primitives;

namespace Kvasir.Server.Tests.Stress;

/// <summary>
/// A client whose keys are its own, so that it can tell the reply to everything it asks, however many others work beside
/// it: a write that was answered and is not there shows with the next command that touches it.
/// </summary>
internal sealed class StressWriter : IDisposable
{
    private const int Keys = 40;
    private const int Databases = 2;

    private readonly int _number;
    private readonly SeededRandom _random;
    private readonly RespClient _client;
    private readonly Dictionary<string, string>[] _model = [.. Enumerable.Range(0, Databases).Select(_ => new Dictionary<string, string>(StringComparer.Ordinal))];
    private readonly List<(string Command, string Expected)> _sent = [];
    private int _database;
    private long _shared;

    public StressWriter(IPEndPoint server, int number, ulong seed)
    {
        _number = number;
        _random = new SeededRandom(seed);
        _client = new RespClient(server);
    }

    /// <summary>Its increments of the key that everybody increments, in database 0.</summary>
    public long SharedIncrements { get; private set; }

    public long Commands { get; private set; }

    /// <summary>One pipeline, of one command or of many.</summary>
    public void Round()
    {
        int depth = _random.OneIn(3) ? _random.Next(2, 25) : 1;
        for (int i = 0; i < depth; i++)
            AddOne();
        foreach ((string command, string expected) in _sent)
        {
            string reply = _client.Receive();
            if (expected == "grows")
                Grows(reply);
            else if (reply != expected)
                throw new InvalidOperationException($"writer {_number}, {command}: {Short(reply)} instead of {Short(expected)}");
            Commands++;
        }

        _sent.Clear();
    }

    /// <summary>Asks for all it has written.</summary>
    public void Verify()
    {
        for (int database = 0; database < Databases; database++)
        {
            Expect("OK", "SELECT", Text(database));
            for (int i = 0; i < Keys; i++)
                Expect(_model[database].TryGetValue(Key(i), out string? value) ? $"\"{value}\"" : "nil", "GET", Key(i));
        }

        _database = Databases - 1;
        _sent.Clear();
    }

    public void Dispose() => _client.Dispose();

    private Dictionary<string, string> Model => _model[_database];

    private string AnyKey() => Key(_random.Next(Keys));

    private string Key(int number) => $"writer{Text(_number)}:{Text(number)}";

    private string AnyValue() => Text(_random.Next(1_000_000)) + new string((char)('a' + _random.Next(26)), _random.OneIn(10) ? _random.Next(3000) : _random.Next(100));

    private void AddOne()
    {
        string key = AnyKey();
        bool there = Model.TryGetValue(key, out string? old);
        string value = AnyValue();
        switch (_random.Next(14))
        {
            case 0 or 1 or 2:
                Model[key] = value;
                Add("OK", "SET", key, value);
                break;
            case 3:
                Model[key] = value;
                Add("OK", "SET", key, value, "PX", "100000000");
                break;
            case 4:
                Model.Remove(key);
                Add(there ? ":1" : ":0", _random.OneIn(2) ? "DEL" : "UNLINK", key);
                break;
            case 5:
                Model.Remove(key);
                Add(there ? $"\"{old}\"" : "nil", "GETDEL", key);
                break;
            case 6:
                string other = AnyKey();
                Model[key] = value;
                Model[other] = value;
                Add("OK", "MSET", key, value, other, value);
                break;
            case 7:
                Model[key] = old is { Length: < 5000 } ? old + "more" : value;
                Add(old is { Length: < 5000 } ? ":" + Text(old.Length + 4) : "OK", old is { Length: < 5000 } ? ["APPEND", key, "more"] : ["SET", key, value]);
                break;
            case 8:
                Add(there ? ":1" : ":0", "EXPIRE", key, "100000");
                break;
            case 9:
                string number = $"writer{Text(_number)}:{Text(_random.Next(4))}";
                long next = Model.TryGetValue(number, out string? before) && long.TryParse(before, NumberStyles.Integer, CultureInfo.InvariantCulture, out long count) ? count + 1 : 1;
                if (before is not null && next == 1 && before != "0")
                    Add("OK", "SET", number, "0");
                else
                    Add(":" + Text(next), "INCR", number);
                Model[number] = before is not null && next == 1 && before != "0" ? "0" : Text(next);
                break;
            case 10:
                _database = _random.Next(Databases);
                Add("OK", "SELECT", Text(_database));
                break;
            case 11:
                AddTransaction(key, value);
                break;
            case 12:
                if (_database != 0)
                    goto default;
                Add("grows", "INCR", "shared");
                break;
            default:
                Add(there ? $"\"{old}\"" : "nil", "GET", key);
                break;
        }
    }

    /// <summary>The same value in both databases, and a third key away.</summary>
    private void AddTransaction(string key, string value)
    {
        string gone = AnyKey();
        int other = 1 - _database;
        Add("OK", "MULTI");
        Add("QUEUED", "SET", key, value);
        Model[key] = value;
        bool there = Model.Remove(gone);
        Add("QUEUED", "DEL", gone);
        Add("QUEUED", "SELECT", Text(other));
        Add("QUEUED", "SET", key, value);
        _model[other][key] = value;
        Add("QUEUED", "SELECT", Text(_database));
        Add($"[OK :{(there ? 1 : 0)} OK OK OK]", "EXEC");
    }

    private void Grows(string reply)
    {
        if (!long.TryParse(reply.AsSpan(1), NumberStyles.Integer, CultureInfo.InvariantCulture, out long value) || value <= _shared)
            throw new InvalidOperationException($"writer {_number}: the shared counter went from {_shared} to {reply}");
        _shared = value;
        SharedIncrements++;
    }

    private void Add(string expected, params string[] words)
    {
        _client.Add(words);
        _sent.Add((Short(string.Join(' ', words)), expected));
    }

    private void Expect(string expected, params string[] words)
    {
        string reply = _client.Call(words);
        if (reply != expected)
            throw new InvalidOperationException($"writer {_number}, at the end, {string.Join(' ', words)}: {Short(reply)} instead of {Short(expected)}");
    }

    private static string Short(string text) => text.Length <= 100 ? text : text[..100] + "...";

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
