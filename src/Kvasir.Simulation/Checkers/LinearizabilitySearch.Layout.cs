using Kvasir.Primitives;
using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Checkers;

/// <summary>How operations become entries of a list, numbered values and classes of equals.</summary>
internal sealed partial class LinearizabilitySearch
{
    private int IdOf(bool named, long value)
    {
        if (!named)
            return -1;
        if (!_valueIds.TryGetValue(value, out int id))
        {
            id = _valueIds.Count;
            _valueIds.Add(value, id);
        }

        return id;
    }

    private int IdOfState(long state) => _valueIds.TryGetValue(state, out int id) ? id : -1;

    private void Sort(IReadOnlyList<HistoryOperation> operations, List<ModelOperation> encoded, bool certain)
    {
        foreach (HistoryOperation operation in operations)
        {
            if (operation.IsCertain != certain)
                continue;
            ModelOperation one = _model.Encode(operation);
            if (one is { Need: Need.Equal, Effect: Effect.Set } && one.Left == one.Needed)
                one = ModelOperation.Read(one.Needed);

            // What changes nothing and is not known to have been answered says nothing.
            if (!certain && one.Effect == Effect.Same)
                continue;
            Check.That(_sources.Count == 0 || _sources[^1].Begin <= operation.Begin || _sources[^1].IsCertain != certain);
            _sources.Add(operation);
            encoded.Add(one);
        }
    }

    /// <summary>Entry zero is the head of the list, then calls and returns in their order, then its end.</summary>
    private void LayOutEntries()
    {
        int[] byEnd = [.. Enumerable.Range(0, _certain).OrderBy(i => _sources[i].End)];
        int call = 0, @return = 0, uncertain = _certain, entry = 1;
        while (@return < _certain)
        {
            int end = _sources[byEnd[@return]].End;
            while (uncertain < _sources.Count && _sources[uncertain].Begin < end
                && (call == _certain || _sources[uncertain].Begin < _sources[call].Begin))
                _operations[uncertain++].AvailableAt = entry;
            _callsBefore[entry] = call;
            if (call < _certain && _sources[call].Begin < end)
            {
                _operations[call].Call = entry;
                _entryOperation[entry++] = call++;
            }
            else
            {
                _operations[byEnd[@return]].Return = entry;
                _entryOperation[entry++] = byEnd[@return++];
            }
        }

        while (uncertain < _sources.Count)
            _operations[uncertain++].AvailableAt = int.MaxValue;
        _callsBefore[_end] = _certain;
        for (int i = 0; i <= _end; i++)
        {
            _next[i] = i + 1;
            _previous[i] = i - 1;
        }
    }

    /// <summary>Uncertain operations that do the same; of each class the first begun is used first.</summary>
    private int[][] MakeClasses()
    {
        int[][] classes = [.. Enumerable.Range(_certain, _operations.Length - _certain)
            .GroupBy(i => _operations[i].Encoded).Select(g => g.ToArray())];
        for (int i = 0; i < classes.Length; i++)
        {
            foreach (int index in classes[i])
                _operations[index].Class = i;
        }

        return classes;
    }

    private struct SearchOperation(ModelOperation encoded, int neededId, int leftId)
    {
        public readonly ModelOperation Encoded = encoded;
        public readonly int NeededId = neededId;
        public readonly int LeftId = leftId;
        public int Call;
        public int Return;
        public int AvailableAt;
        public int Class;

        public readonly Effect Effect => Encoded.Effect;

        public readonly Need Need => Encoded.Need;

        public readonly bool IsBlind => Encoded is { Need: Need.Nothing, Effect: Effect.Set };

        public readonly bool Fits(long state) => Encoded.Need switch
        {
            Need.Equal => state == Encoded.Needed,
            Need.Different => state != Encoded.Needed,
            _ => true,
        };
    }
}
