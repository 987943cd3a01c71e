using System.Runtime.InteropServices;
using Kvasir.Primitives;
using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Checkers;

/// <summary>
/// Looks for an order of one key's operations that the model allows and that keeps to real time: Wing and Gong's search
/// (1993) over a list of calls and returns from which placed operations are lifted, with Lowe's memory of places visited
/// (2017). What it adds, each of which leaves the answer as it is:
/// <list type="bullet">
/// <item>An operation that leaves the state alone is placed as soon as the state fits: no order with it later is better.</item>
/// <item>A state is not left while certain operations still need it and nothing can bring it back.</item>
/// <item>Writes whose value nothing left over looks for are hidden just before another change, all at once.</item>
/// <item>Operations of unknown outcome are tried last, of equal ones the first begun, and a place that was visited with
/// fewer of them used up is not visited again.</item>
/// </list>
/// </summary>
/// <remarks>
/// Hiding is exact while nothing needs the state to differ from one that it names (a compare-and-set that was refused). Such
/// an operation may have seen a write that nobody else saw. So a hidden write may be shown after all until it has ended, where
/// that helps; but not every order is tried with that, so the answer "invalid" is asked for again without hiding anything.
/// </remarks>
internal sealed partial class LinearizabilitySearch
{
    private const int StepsPerLookAtTheClock = 1024;

    private readonly ISequentialModel _model;
    private readonly SearchOperation[] _operations;
    private readonly List<HistoryOperation> _sources = [];
    private readonly int _certain;
    private readonly int[] _entryOperation;
    private readonly int[] _next;
    private readonly int[] _previous;
    private readonly int[] _callsBefore;
    private readonly int _end;
    private readonly Dictionary<long, int> _valueIds = [];
    private readonly int[] _mustObserve;
    private readonly int[] _mayObserve;
    private readonly int[] _producers;
    private readonly int[] _mustDiffer;
    private readonly int[][] _classes;
    private readonly int[] _classUsed;
    private readonly ulong[] _placed;
    private readonly ulong[] _used;
    private readonly SearchMemo _memo;
    private readonly CheckLimits _limits;
    private readonly long _deadline;
    private readonly bool _anythingMayAppear;
    private readonly bool _unseenWritesMayHide;
    private readonly bool _hiddenMayShow;
    private readonly List<int> _hiddenNow = [];
    private readonly List<int> _showable = [];
    private int _shownNow = -1;
    private readonly List<int> _trail = [];
    private readonly List<SearchFrame> _frames = [];
    private ulong _hash;
    private int _observersLeft;
    private int _lastSeenBegun;

    /// <param name="operations">Of one key, in the order of their beginnings.</param>
    /// <param name="model">A fresh one.</param>
    /// <param name="limits">When to give up.</param>
    /// <param name="deadline">By the limits' clock; the clock is not looked at for <see cref="long.MaxValue"/>.</param>
    /// <param name="hides">False leaves out the pruning of unseen writes, for comparison.</param>
    public LinearizabilitySearch(
        IReadOnlyList<HistoryOperation> operations, ISequentialModel model, CheckLimits limits, long deadline, bool hides = true)
    {
        _model = model;
        _limits = limits;
        _deadline = deadline;
        List<ModelOperation> encoded = [];
        Sort(operations, encoded, certain: true);
        _certain = _sources.Count;
        Sort(operations, encoded, certain: false);

        _operations = new SearchOperation[_sources.Count];
        for (int i = 0; i < _operations.Length; i++)
        {
            _operations[i] = new SearchOperation(
                encoded[i], IdOf(encoded[i].Need != Need.Nothing, encoded[i].Needed),
                IdOf(encoded[i].Effect is Effect.Set or Effect.ComputedSet, encoded[i].Left));
        }

        _mustObserve = new int[_valueIds.Count];
        _mayObserve = new int[_valueIds.Count];
        _producers = new int[_valueIds.Count];
        _mustDiffer = new int[_valueIds.Count];
        _unseenWritesMayHide = hides;
        for (int i = 0; i < _operations.Length; i++)
        {
            ref readonly SearchOperation operation = ref _operations[i];
            Count(operation, i < _certain, 1);
            _anythingMayAppear |= operation.Effect == Effect.Computed;
            _unseenWritesMayHide &= operation.Effect is Effect.Same or Effect.Set;
            _hiddenMayShow |= operation.Need == Need.Different;
        }

        _end = (2 * _certain) + 1;
        _entryOperation = new int[_end];
        _next = new int[_end + 1];
        _previous = new int[_end + 1];
        _callsBefore = new int[_end + 1];
        LayOutEntries();
        _classes = MakeClasses();
        _classUsed = new int[_classes.Length];
        _placed = new ulong[(_certain + 63) >> 6];
        _used = new ulong[(_operations.Length - _certain + 63) >> 6];
        _memo = new SearchMemo(_used.Length, limits.BytesMax);
    }

    /// <summary>How many operations were tried.</summary>
    public long Steps { get; private set; }

    public int PlacesVisited => _memo.Count;

    /// <summary>Which bound ended the search, when one did.</summary>
    public string? Bound { get; private set; }

    /// <summary>Looks for an order quickly and, where that could miss one, again in full.</summary>
    public static (LinearizabilitySearch Search, Verdict Verdict) Decide(
        IReadOnlyList<HistoryOperation> operations, Func<ISequentialModel> model, CheckLimits limits, long deadline)
    {
        var quick = new LinearizabilitySearch(operations, model(), limits, deadline);
        Verdict verdict = quick.Run();
        if (verdict != Verdict.Invalid || !quick._hiddenMayShow || !quick._unseenWritesMayHide)
            return (quick, verdict);
        var full = new LinearizabilitySearch(operations, model(), limits, deadline, hides: false);
        return (full, full.Run());
    }

    /// <summary>The state after the last operation, after <see cref="Verdict.Valid"/>.</summary>
    public string FinalState { get; private set; } = "";

    /// <summary>The order found, after <see cref="Verdict.Valid"/>.</summary>
    public List<HistoryOperation> Order()
    {
        // A hidden write that was shown later has its place there.
        HashSet<int> shown = [.. _trail.Where(t => t >= _operations.Length).Select(t => t - _operations.Length)];
        return [.. _trail.Where(t => !shown.Contains(t)).Select(t => _sources[t < _operations.Length ? t : t - _operations.Length])];
    }

    public Verdict Run()
    {
        Arrival arrival = Enter(_model.InitialState, IdOfState(_model.InitialState), trailStart: 0);
        while (arrival != Arrival.Done)
        {
            if (arrival == Arrival.GaveUp)
                return Verdict.Unknown;
            if (_frames.Count == 0)
                return Verdict.Invalid;
            arrival = Advance();
        }

        return Verdict.Valid;
    }

    private enum Arrival
    {
        Open,
        DeadEnd,
        Done,
        GaveUp,
    }

    /// <summary>Tries the next operation from the newest place, or goes back to the one before.</summary>
    private Arrival Advance()
    {
        int top = _frames.Count - 1;
        SearchFrame frame = _frames[top];
        int trailStart = _trail.Count;
        _hiddenNow.Clear();
        _shownNow = -1;
        _lastSeenBegun = frame.LastSeenBegun;
        if (!TryCertain(ref frame, out long next, out int nextId) && !TryHidden(ref frame, out next, out nextId)
            && !TryUncertain(ref frame, out next, out nextId))
        {
            Undo(frame.TrailStart);
            _showable.RemoveRange(frame.Showable, _showable.Count - frame.Showable);
            _frames.RemoveAt(top);
            return Arrival.DeadEnd;
        }

        _frames[top] = frame;
        Steps++;
        if (Steps > _limits.StepsMax)
            return GiveUp("the number of steps");
        if (Steps % StepsPerLookAtTheClock == 0 && _deadline != long.MaxValue && _limits.Clock!.GetTimestamp() > _deadline)
            return GiveUp("the time");
        if (frame.StateId >= 0 && next != frame.State && _mustObserve[frame.StateId] > 0
            && (_model.NeverReturns || (!_anythingMayAppear && _producers[frame.StateId] == 0)))
        {
            Undo(trailStart);
            return Arrival.DeadEnd;
        }

        return Enter(next, nextId, trailStart);
    }

    private Arrival GiveUp(string bound)
    {
        Bound = bound;
        return Arrival.GaveUp;
    }

    /// <summary>Arrives in a state with the list as it is now: places what leaves it alone, and remembers the place.</summary>
    private Arrival Enter(long state, int stateId, int trailStart)
    {
        int firstEnd = FirstEndOfShowable();
        int entry = _next[0];
        while (entry < _end && IsCall(entry))
        {
            int candidate = _entryOperation[entry];
            ref readonly SearchOperation operation = ref _operations[candidate];
            int before = _previous[entry];

            // What began after the end of a hidden write settles that it is not shown any more: that is a choice, unless the
            // state does not come back.
            if (operation.Effect == Effect.Same && operation.Fits(state)
                && (entry < firstEnd || (operation.Need == Need.Equal && _producers[operation.NeededId] == 0)))
                PlaceSeen(candidate);

            // Not its own next: that may be its return, which went with it.
            entry = _next[before] == entry ? _next[entry] : _next[before];
        }

        int first = _next[0];
        if (first == _end)
        {
            FinalState = _model.Describe(state);
            return Arrival.Done;
        }

        if (_observersLeft > 0 && _model.IsHopeless(state))
        {
            Undo(trailStart);
            return Arrival.DeadEnd;
        }

        int firstWord = _entryOperation[first] >> 6;
        int words = ((_callsBefore[entry] + 63) >> 6) - firstWord;
        int showable = _showable.Count;
        GatherShowable();
        switch (_memo.Visit(
            _hash, state, firstWord, _placed.AsSpan(firstWord, words), _used, CollectionsMarshal.AsSpan(_showable)[showable..]))
        {
            case SearchMemo.VisitOutcome.Full:
                return GiveUp("the memory");
            case SearchMemo.VisitOutcome.Seen:
                _showable.RemoveRange(showable, _showable.Count - showable);
                Undo(trailStart);
                return Arrival.DeadEnd;
            default:
                _frames.Add(new SearchFrame
                {
                    TrailStart = trailStart,
                    State = state,
                    StateId = stateId,
                    FirstReturn = entry,
                    LastSeenBegun = _lastSeenBegun,
                    Showable = showable,
                    ShowableNext = _showable.Count,
                });
                return Arrival.Open;
        }
    }

    private bool TryCertain(ref SearchFrame frame, out long next, out int nextId)
    {
        while (frame.Entry < frame.FirstReturn)
        {
            frame.Entry = _next[frame.Entry];
            if (frame.Entry >= frame.FirstReturn)
                break;
            int candidate = _entryOperation[frame.Entry];
            ref readonly SearchOperation operation = ref _operations[candidate];
            if (!TryApply(operation, frame.State, out next, out nextId))
                continue;
            if (operation.Effect == Effect.Same)
            {
                nextId = frame.StateId;
                PlaceSeen(candidate);
                return true;
            }

            bool isUnseen = IsUnseen(operation);
            if (isUnseen && frame.UnseenTried && !ShowingHelps(frame))
                continue;

            // Of unseen writes it is all one which comes last, if it hides all the others.
            bool hidesAll = Hide(candidate);
            frame.UnseenTried |= isUnseen && hidesAll;
            PlaceSeen(candidate);
            return true;
        }

        next = 0;
        nextId = -1;
        return false;
    }

    private bool TryUncertain(ref SearchFrame frame, out long next, out int nextId)
    {
        while (frame.Class < _classes.Length)
        {
            int at = frame.Class++;
            if (_classUsed[at] == _classes[at].Length)
                continue;
            int candidate = _classes[at][_classUsed[at]];
            ref readonly SearchOperation operation = ref _operations[candidate];
            if (operation.AvailableAt > frame.FirstReturn || (IsUnseen(operation) && !ShowingHelps(frame))
                || !TryApply(operation, frame.State, out next, out nextId) || next == frame.State)
                continue;
            Hide(candidate);
            Use(at, candidate);
            return true;
        }

        next = 0;
        nextId = -1;
        return false;
    }

    private bool TryApply(in SearchOperation operation, long state, out long next, out int nextId)
    {
        if (operation.Effect is Effect.Computed or Effect.ComputedSet)
        {
            bool can = _model.TryCompute(state, operation.Encoded, out next);
            nextId = can ? IdOfState(next) : -1;
            return can;
        }

        next = operation.Effect == Effect.Same ? state : operation.Encoded.Left;
        nextId = operation.LeftId;
        return operation.Fits(state);
    }

    private bool IsCall(int entry) => _operations[_entryOperation[entry]].Call == entry;

    private void Place(int index)
    {
        ref readonly SearchOperation operation = ref _operations[index];
        Unlink(operation.Call);
        Unlink(operation.Return);
        _placed[index >> 6] |= 1UL << index;
        _hash ^= HashOf(index);
        Count(operation, isCertain: true, -1);
        _trail.Add(index);
    }

    private void PlaceSeen(int index)
    {
        Place(index);
        _lastSeenBegun = Math.Max(_lastSeenBegun, _operations[index].Call);
    }

    private void Use(int inClass, int index)
    {
        _classUsed[inClass]++;
        int bit = index - _certain;
        _used[bit >> 6] |= 1UL << bit;
        Count(_operations[index], isCertain: false, -1);
        _lastSeenBegun = Math.Max(_lastSeenBegun, _operations[index].AvailableAt - 1);
        _trail.Add(index);
    }

    private void Undo(int trailStart)
    {
        while (_trail.Count > trailStart)
        {
            int index = _trail[^1];
            _trail.RemoveAt(_trail.Count - 1);
            if (index >= _operations.Length)
                continue;
            ref readonly SearchOperation operation = ref _operations[index];
            Count(operation, index < _certain, 1);
            if (index >= _certain)
            {
                int bit = index - _certain;
                _used[bit >> 6] &= ~(1UL << bit);
                _classUsed[operation.Class]--;
                continue;
            }

            _hash ^= HashOf(index);
            _placed[index >> 6] &= ~(1UL << index);

            // In the reverse order of lifting, so that every neighbour is there again.
            Relink(operation.Return);
            Relink(operation.Call);
        }
    }

    private void Unlink(int entry)
    {
        _next[_previous[entry]] = _next[entry];
        _previous[_next[entry]] = _previous[entry];
    }

    private void Relink(int entry)
    {
        _next[_previous[entry]] = entry;
        _previous[_next[entry]] = entry;
    }

    private void Count(in SearchOperation operation, bool isCertain, int by)
    {
        if (operation.Need == Need.Different)
        {
            _mustDiffer[operation.NeededId] += by;
        }
        else if (operation.Need == Need.Equal)
        {
            _mayObserve[operation.NeededId] += by;
            if (isCertain)
            {
                _mustObserve[operation.NeededId] += by;
                _observersLeft += by;
            }
        }

        if (operation.LeftId >= 0)
            _producers[operation.LeftId] += by;
    }

    private static ulong HashOf(int index)
    {
        ulong z = ((ulong)index + 1) * 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        return z ^ (z >> 27);
    }

    private struct SearchFrame
    {
        public int TrailStart;
        public long State;
        public int StateId;
        public int FirstReturn;
        public int Entry;
        public int Class;
        public bool UnseenTried;
        public int LastSeenBegun;
        public int Showable;
        public int ShowableNext;
    }
}
