using System.Runtime.InteropServices;

namespace Kvasir.Simulation.Checkers;

/// <summary>Writes that nobody left over looks for: hidden behind others, and shown after all where that helps.</summary>
internal sealed partial class LinearizabilitySearch
{
    private int FirstEndOfShowable()
    {
        int first = int.MaxValue;
        for (int i = _frames.Count > 0 ? _frames[^1].Showable : _showable.Count; i < _showable.Count; i++)
        {
            if (IsShowable(_showable[i]))
                first = Math.Min(first, _operations[_showable[i]].Return);
        }

        foreach (int hidden in _hiddenNow)
        {
            if (IsShowable(hidden))
                first = Math.Min(first, _operations[hidden].Return);
        }

        return first;
    }

    /// <summary>The hidden writes of the place before and of the way here that have neither been shown nor ended.</summary>
    private void GatherShowable()
    {
        if (!_hiddenMayShow)
            return;
        int start = _showable.Count;
        for (int i = _frames.Count > 0 ? _frames[^1].Showable : start; i < start; i++)
            AddShowable(_showable[i]);
        foreach (int hidden in _hiddenNow)
            AddShowable(hidden);
        CollectionsMarshal.AsSpan(_showable)[start..].Sort();
    }

    private void AddShowable(int index)
    {
        if (IsShowable(index))
            _showable.Add(index);
    }

    private bool IsShowable(int index) => index != _shownNow && _operations[index].Return > _lastSeenBegun;

    /// <summary>Writes that were hidden and have not ended may show themselves after all.</summary>
    private bool TryHidden(ref SearchFrame frame, out long next, out int nextId)
    {
        while (frame.ShowableNext > frame.Showable && ShowingHelps(frame))
        {
            int candidate = _showable[--frame.ShowableNext];
            ref readonly SearchOperation operation = ref _operations[candidate];
            if (operation.Encoded.Left == frame.State)
                continue;
            next = operation.Encoded.Left;
            nextId = operation.LeftId;
            Hide(candidate);
            _shownNow = candidate;
            _trail.Add(candidate + _operations.Length);
            _lastSeenBegun = Math.Max(_lastSeenBegun, operation.Call);
            return true;
        }

        next = 0;
        nextId = -1;
        return false;
    }

    /// <summary>It sets a value that nothing left over looks for.</summary>
    private bool IsUnseen(in SearchOperation operation) =>
        _unseenWritesMayHide && operation.IsBlind && _mayObserve[operation.LeftId] == 0;

    /// <summary>Something left over needs another state than this, whichever.</summary>
    private bool ShowingHelps(in SearchFrame frame) => frame.StateId >= 0 && _mustDiffer[frame.StateId] > 0;

    /// <summary>
    /// Before a change that does not look at what it changes: whatever it hides at once. But nothing that began after the end
    /// of what was hidden and may still be shown: that one would be shown behind it then, and too late.
    /// </summary>
    private bool Hide(int before)
    {
        ModelOperation change = _operations[before].Encoded;
        if (!_unseenWritesMayHide || change.Need == Need.Equal)
            return false;
        bool hidesAll = true;
        int firstEnd = int.MaxValue;
        for (int i = _frames[^1].Showable; i < _showable.Count; i++)
            firstEnd = Math.Min(firstEnd, _operations[_showable[i]].Return);
        int entry = _next[0];
        while (entry < _end && IsCall(entry))
        {
            int other = _entryOperation[entry];
            int left = _previous[entry];
            ref readonly SearchOperation operation = ref _operations[other];
            if (other == before || !IsUnseen(operation))
            {
                // Nothing to hide.
            }
            else if (entry >= firstEnd || (change.Need == Need.Different && operation.Encoded.Left == change.Needed))
            {
                hidesAll = false;
            }
            else
            {
                Place(other);
                if (_hiddenMayShow)
                {
                    _hiddenNow.Add(other);
                    firstEnd = Math.Min(firstEnd, operation.Return);
                }
            }

            entry = _next[left] == entry ? _next[entry] : _next[left];
        }

        return hidesAll;
    }
}
