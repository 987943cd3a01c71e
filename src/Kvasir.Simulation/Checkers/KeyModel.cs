using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Checkers;

/// <summary>
/// A key as Redis and etcd have it: register, counter, list, all at once. Nil is absent; an empty list is absent, too.
/// </summary>
public sealed class KeyModel : ISequentialModel
{
    // A computed operation says in its number which it is: an append the length that was returned, never one below zero.
    private const int NoLength = -1;
    private const int AddNumber = -2;
    private const long NoResult = long.MinValue;

    private readonly ValueCodes _codes = new();
    private readonly HashSet<long> _prefixesOfReads = [ValueCodes.Nil];
    private readonly long _absent;
    private bool _onlyGrows = true;

    private KeyModel(HistoryValue initial, bool isCounter)
    {
        _absent = isCounter ? ValueCodes.Number(0) : ValueCodes.Nil;
        InitialState = Code(initial);
    }

    public long InitialState { get; }

    public bool NeverReturns => _onlyGrows;

    /// <summary>A register or a list: absent at first, unless something else is said.</summary>
    public static KeyModel Plain(HistoryValue initial = default) => new(initial, isCounter: false);

    /// <summary>A counter: nil is zero.</summary>
    public static KeyModel Counter() => new(HistoryValue.Nil, isCounter: true);

    public ModelOperation Encode(HistoryOperation operation)
    {
        HistoryValue result = operation.Result;
        bool isCertain = operation.IsCertain;
        if (operation.Kind is not (OperationKind.Read or OperationKind.Append))
            _onlyGrows = false;
        switch (operation.Kind)
        {
            case OperationKind.Read:
                long read = Code(result);
                if (isCertain)
                    MarkPrefixes(read);
                return ModelOperation.Read(read);
            case OperationKind.Write:
                return ModelOperation.Write(Code(operation.Argument));
            case OperationKind.Exchange:
                // Whoever is told what was there before has compared with it; who is told nothing has only written.
                long after = Code(operation.Argument);
                return isCertain ? new ModelOperation(Need.Equal, Code(result), Effect.Set, after) : ModelOperation.Write(after);
            case OperationKind.CompareAndSet:
                return CompareAndSet(operation);
            case OperationKind.Increment:
                return Increment(operation);
            case OperationKind.Append:
                long element = _codes.Of(operation.Argument);
                int length = isCertain && result.IsNumber ? (int)Math.Clamp(result.Number, 0, int.MaxValue) : NoLength;
                return new ModelOperation(Need.Nothing, 0, Effect.Computed, element, length);
            case OperationKind.SetIfAbsent:
                return SetIfAbsent(operation);
            case OperationKind.Delete:
                return (isCertain && result.IsNumber ? result.Number : -1) switch
                {
                    0 => ModelOperation.Read(_absent),
                    > 0 => new ModelOperation(Need.Different, _absent, Effect.Set, _absent),
                    _ => ModelOperation.Write(_absent),
                };
            default:
                throw new HistoryFormatException($"{HistoryWords.Of(operation.Kind)} is no operation on one key (process {operation.Process}, {operation.BeginNs} ns)");
        }
    }

    public bool TryCompute(long state, in ModelOperation operation, out long next)
    {
        next = state;
        if (operation.Effect == Effect.ComputedSet)
        {
            // Set if absent, of which nobody knows whether it found something.
            next = state == _absent ? operation.Left : state;
            return operation.Need == Need.Nothing;
        }

        if (operation.Number == AddNumber)
        {
            if (state == ValueCodes.Nil)
                state = ValueCodes.Number(0);
            if (!ValueCodes.IsNumber(state, out long number))
                return false;
            next = Sum(number, operation.Left);
            return operation.Needed == NoResult || next == operation.Needed;
        }

        if (!ValueCodes.IsList(state))
            return false;
        next = _codes.Append(state, operation.Left);
        return operation.Number == NoLength || operation.Number == _codes.LengthOf(next);
    }

    /// <summary>A list that only grows, and is no beginning of a list that was read, is read no more.</summary>
    public bool IsHopeless(long state) => _onlyGrows && !_prefixesOfReads.Contains(state);

    public string Describe(long state) => _codes.ValueOf(state).ToString();

    private long Code(HistoryValue value) => value.IsNil ? _absent : _codes.Of(value);

    private void MarkPrefixes(long read)
    {
        while (_prefixesOfReads.Add(read) && ValueCodes.IsList(read))
            read = _codes.ParentOf(read);
    }

    private ModelOperation CompareAndSet(HistoryOperation operation)
    {
        if (!operation.Argument.IsList || operation.Argument.List.Length != 2)
            throw new HistoryFormatException($"cas wants [expected new], not {operation.Argument}");
        long expected = Code(operation.Argument.List[0]);
        bool refused = operation.IsCertain && operation.Result is { IsNumber: true, Number: 0 };
        return refused
            ? new ModelOperation(Need.Different, expected, Effect.Same, 0)
            : new ModelOperation(Need.Equal, expected, Effect.Set, Code(operation.Argument.List[1]));
    }

    private ModelOperation Increment(HistoryOperation operation)
    {
        if (!operation.Argument.IsNil && !operation.Argument.IsNumber)
            throw new HistoryFormatException($"increment wants a whole number, not {operation.Argument}");
        long amount = operation.Argument.IsNil ? 1 : operation.Argument.Number;
        if (!operation.IsCertain || !operation.Result.IsNumber)
            return new ModelOperation(Need.Nothing, NoResult, Effect.Computed, amount, AddNumber);
        long after = operation.Result.Number;
        long code = Sum(after, 0);
        long before = ValueCodes.IsNumber(Sum(after, -amount), out long difference) ? difference : 0;

        // From nothing, too, where nothing is not zero.
        return before == 0 && _absent != ValueCodes.Number(0)
            ? new ModelOperation(Need.Nothing, code, Effect.Computed, amount, AddNumber)
            : new ModelOperation(Need.Equal, ValueCodes.Number(before), Effect.Set, code);
    }

    private static long Sum(long a, long b)
    {
        Int128 sum = (Int128)a + b;
        return ValueCodes.IsSmall(sum)
            ? ValueCodes.Number((long)sum)
            : throw new HistoryFormatException("a counter is beyond 2^60, further than this checker counts");
    }

    private ModelOperation SetIfAbsent(HistoryOperation operation)
    {
        if (_absent != ValueCodes.Nil)
            throw new HistoryFormatException("a counter is never absent: set-if-absent has no meaning for it");
        long value = Code(operation.Argument);
        return (operation.IsCertain && operation.Result.IsNumber ? operation.Result.Number : -1) switch
        {
            0 => new ModelOperation(Need.Different, _absent, Effect.Same, 0),
            > 0 => new ModelOperation(Need.Equal, _absent, Effect.Set, value),
            _ => new ModelOperation(Need.Nothing, 0, Effect.ComputedSet, value),
        };
    }
}
