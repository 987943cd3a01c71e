using Kvasir.Primitives;
using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Checkers;

/// <summary>
/// Gives each value a number: zero for nil and for the empty list, two low bits that tell the rest apart. A list is a place
/// in a tree of its prefixes, so that appending is one look-up whatever its length.
/// </summary>
internal sealed class ValueCodes
{
    public const long Nil = 0;
    private const long SmallMax = 1L << 60;

    private readonly Dictionary<HistoryValue, long> _others = [];
    private readonly List<HistoryValue> _byOther = [];
    private readonly Dictionary<(long List, long Element), long> _children = [];
    private readonly List<(long Parent, long Element, int Length)> _lists = [(0, 0, 0)];

    private enum CodeTag
    {
        Number = 1,
        Other = 2,
        List = 3,
    }

    public long Of(HistoryValue value)
    {
        if (value.IsNil)
            return Nil;
        if (value.IsNumber && IsSmall(value.Number))
            return Number(value.Number);
        if (value.IsList)
        {
            long list = Nil;
            foreach (HistoryValue element in value.List)
                list = Append(list, Of(element));
            return list;
        }

        if (!_others.TryGetValue(value, out long place))
        {
            place = _byOther.Count;
            _byOther.Add(value);
            _others.Add(value, place);
        }

        return (place << 2) | (long)CodeTag.Other;
    }

    public static bool IsSmall(Int128 number) => number > -SmallMax && number < SmallMax;

    public static long Number(long number) => (number << 2) | (long)CodeTag.Number;

    /// <summary>Numbers too large for a code count as texts here: nothing is added to them.</summary>
    public static bool IsNumber(long code, out long number)
    {
        number = code >> 2;
        return (code & 3) == (long)CodeTag.Number;
    }

    public static bool IsList(long code) => code == Nil || (code & 3) == (long)CodeTag.List;

    public long Append(long list, long element)
    {
        Check.That(IsList(list));
        if (!_children.TryGetValue((list, element), out long child))
        {
            child = ((long)_lists.Count << 2) | (long)CodeTag.List;
            _lists.Add((list, element, LengthOf(list) + 1));
            _children.Add((list, element), child);
        }

        return child;
    }

    public int LengthOf(long list) => _lists[(int)(list >> 2)].Length;

    /// <summary>The list without its last element.</summary>
    public long ParentOf(long list) => _lists[(int)(list >> 2)].Parent;

    public HistoryValue ValueOf(long code)
    {
        switch (code & 3)
        {
            case (long)CodeTag.Number:
                return HistoryValue.Of(code >> 2);
            case (long)CodeTag.Other:
                return _byOther[(int)(code >> 2)];
            case (long)CodeTag.List:
                var elements = new HistoryValue[LengthOf(code)];
                for (int i = elements.Length - 1; i >= 0; i--)
                {
                    elements[i] = ValueOf(_lists[(int)(code >> 2)].Element);
                    code = ParentOf(code);
                }

                return HistoryValue.Of(elements);
            default:
                return HistoryValue.Nil;
        }
    }
}
