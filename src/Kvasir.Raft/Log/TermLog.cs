using Kvasir.Primitives;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Log;

/// <summary>Entries from <see cref="First"/> up to the next run are of one term.</summary>
public readonly record struct TermRun(LogIndex First, Term Term);

/// <summary>
/// A member's log without its bytes: which term each index has. Terms never fall along a log, so it is a short list of runs.
/// The log lies in (<see cref="BaseIndex"/>, <see cref="LastIndex"/>]; what is at or below the base is only in a snapshot.
/// </summary>
internal sealed class TermLog
{
    private TermRun[] _runs = new TermRun[2];
    private int _count;

    public TermLog(LogIndex baseIndex, Term baseTerm, ReadOnlySpan<TermRun> runs, LogIndex lastIndex)
    {
        BaseIndex = baseIndex;
        BaseTerm = baseTerm;
        LastIndex = baseIndex;
        for (int i = 0; i < runs.Length; i++)
        {
            LogIndex last = i + 1 < runs.Length ? runs[i + 1].First.Previous : lastIndex;
            Append(runs[i].First, last, runs[i].Term);
        }

        Check.That(LastIndex == lastIndex, $"the runs end at {LastIndex}, the log at {lastIndex}");
    }

    public LogIndex BaseIndex { get; private set; }

    public Term BaseTerm { get; private set; }

    public LogIndex LastIndex { get; private set; }

    public Term LastTerm => _count == 0 ? BaseTerm : _runs[_count - 1].Term;

    public ReadOnlySpan<TermRun> Runs => _runs.AsSpan(0, _count);

    /// <summary>The term at this index; false when it is compacted away or not there yet.</summary>
    public bool TryTermAt(LogIndex index, out Term term)
    {
        if (index < BaseIndex || index > LastIndex)
        {
            term = default;
            return false;
        }

        term = index == BaseIndex ? BaseTerm : _runs[RunOf(index)].Term;
        return true;
    }

    public Term TermAt(LogIndex index)
    {
        Check.That(TryTermAt(index, out Term term), $"index {index} is outside of the log, {BaseIndex} to {LastIndex}");
        return term;
    }

    /// <summary>The last index of the run that holds this one.</summary>
    public LogIndex RunEnd(LogIndex index)
    {
        int run = RunOf(index);
        return run + 1 < _count ? _runs[run + 1].First.Previous : LastIndex;
    }

    /// <summary>The first index of the entries that have the term of this one and touch it; the base counts as one.</summary>
    public LogIndex RunStart(LogIndex index) => index == BaseIndex ? BaseIndex : _runs[RunOf(index)].First;

    /// <summary>
    /// The largest index up to <paramref name="index"/> whose term is at most <paramref name="term"/>: a whole term is skipped
    /// at a step (paper, end of 5.3). Below the base nothing is known: then the index before it, with term zero.
    /// </summary>
    public (LogIndex Index, Term Term) LastNotAbove(LogIndex index, Term term)
    {
        LogIndex at = LogIndex.Least(index, LastIndex);
        if (at < BaseIndex)
            return (at, Term.Zero);
        while (true)
        {
            Term here = TermAt(at);
            if (here <= term)
                return (at, here);
            if (at == BaseIndex)
                return (BaseIndex == LogIndex.Zero ? BaseIndex : BaseIndex.Previous, Term.Zero);
            at = RunStart(at).Previous;
        }
    }

    /// <summary>The first index in [<paramref name="first"/>, <paramref name="last"/>] whose term is another; Max when none.</summary>
    public LogIndex FirstOfAnotherTerm(LogIndex first, LogIndex last, Term term)
    {
        LogIndex at = first;
        while (at <= last)
        {
            if (TermAt(at) != term)
                return at;
            at = RunEnd(at).Next;
        }

        return LogIndex.Max;
    }

    public void Append(LogIndex first, LogIndex last, Term term)
    {
        Check.That(first == LastIndex.Next && last >= first, $"entries {first} to {last} do not follow {LastIndex}");
        Check.That(term >= LastTerm && term > Term.Zero, $"term {term} is below that of the entry before, {LastTerm}");
        if (_count == 0 || _runs[_count - 1].Term != term)
        {
            if (_count == _runs.Length)
                Array.Resize(ref _runs, _count * 2);
            _runs[_count++] = new TermRun(first, term);
        }

        LastIndex = last;
    }

    public void TruncateFrom(LogIndex index)
    {
        Check.That(index > BaseIndex, $"truncation from {index} reaches into the snapshot at {BaseIndex}");
        if (index > LastIndex)
            return;
        while (_count > 0 && _runs[_count - 1].First >= index)
            _count--;
        LastIndex = index.Previous;
    }

    /// <summary>Forgets the entries up to this index.</summary>
    public void Compact(LogIndex index)
    {
        Check.That(index <= LastIndex);
        if (index <= BaseIndex)
            return;
        BaseTerm = TermAt(index);
        BaseIndex = index;
        int keep = 0;
        while (keep < _count && (keep + 1 < _count ? _runs[keep + 1].First : LastIndex.Next) <= index.Next)
            keep++;
        Array.Copy(_runs, keep, _runs, 0, _count - keep);
        _count -= keep;
        if (_count > 0 && _runs[0].First <= index)
            _runs[0] = new TermRun(index.Next, _runs[0].Term);
    }

    /// <summary>Nothing but a snapshot.</summary>
    public void Reset(LogIndex index, Term term)
    {
        _count = 0;
        BaseIndex = LastIndex = index;
        BaseTerm = term;
    }

    private int RunOf(LogIndex index)
    {
        Check.That(index > BaseIndex && index <= LastIndex, $"index {index} is outside of the log, {BaseIndex} to {LastIndex}");
        int low = 0, high = _count - 1;
        if (_runs[high].First <= index)
            return high;
        while (low < high)
        {
            int middle = (low + high + 1) >>> 1;
            if (_runs[middle].First <= index)
                low = middle;
            else
                high = middle - 1;
        }

        return low;
    }
}
