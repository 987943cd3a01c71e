using System.Runtime.InteropServices;
using System.Text;
using Kvasir.Primitives;

namespace Kvasir.Simulation.Histories;

/// <summary>What is written and read in histories: nil, a whole number, a text, or a list of these. Equal by content.</summary>
public readonly struct HistoryValue : IEquatable<HistoryValue>
{
    private static readonly object s_number = new();

    private readonly object? _content;
    private readonly long _number;

    private HistoryValue(object? content, long number)
    {
        _content = content;
        _number = number;
    }

    public static HistoryValue Nil => default;

    public bool IsNil => _content is null;

    public bool IsNumber => ReferenceEquals(_content, s_number);

    public bool IsText => _content is string;

    public bool IsList => _content is HistoryValue[];

    public long Number
    {
        get
        {
            Check.That(IsNumber);
            return _number;
        }
    }

    public string Text
    {
        get
        {
            Check.That(IsText);
            return (string)_content!;
        }
    }

    public ReadOnlySpan<HistoryValue> List
    {
        get
        {
            Check.That(IsList);
            return (HistoryValue[])_content!;
        }
    }

    public static HistoryValue Of(long number) => new(s_number, number);

    /// <summary>The text must be well-formed UTF-16: files could not hold it else.</summary>
    public static HistoryValue Of(string text)
    {
        Check.That(HistoryFiles.IsText(text));
        return new HistoryValue(text, 0);
    }

    /// <summary>The values become the list's own: nobody may change them afterwards.</summary>
    public static HistoryValue Of(params HistoryValue[] values) => new(values, 0);

    public static bool operator ==(HistoryValue a, HistoryValue b) => a.Equals(b);

    public static bool operator !=(HistoryValue a, HistoryValue b) => !a.Equals(b);

    public bool Equals(HistoryValue other)
    {
        if (_number != other._number)
            return false;
        if (ReferenceEquals(_content, other._content))
            return true;
        return _content switch
        {
            string text => other._content is string second && string.Equals(text, second, StringComparison.Ordinal),
            HistoryValue[] list => other._content is HistoryValue[] second && list.AsSpan().SequenceEqual(second),
            _ => false,
        };
    }

    public override bool Equals(object? obj) => obj is HistoryValue other && Equals(other);

    public override int GetHashCode() => (int)Hash();

    /// <summary>As in EDN: nil, 12, "text", [1 2].</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        Edn.Append(text, this);
        return text.ToString();
    }

    private ulong Hash()
    {
        switch (_content)
        {
            case null:
                return 1;
            case string text:
                return StableHash.Hash64(MemoryMarshal.AsBytes(text.AsSpan()), 2);
            case HistoryValue[] list:
                ulong hash = 3;
                foreach (HistoryValue value in list)
                    hash = (hash ^ value.Hash()) * 0x9E3779B97F4A7C15;
                return hash ^ (hash >> 32);
            default:
                ulong mixed = (ulong)_number * 0x9E3779B97F4A7C15;
                return mixed ^ (mixed >> 32);
        }
    }
}
