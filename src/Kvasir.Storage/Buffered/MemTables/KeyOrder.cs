using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Buffered.MemTables;

/// <summary>
/// The order of a memtable's keys, made when somebody asks for it. Keys inserted since the last time become a sorted run;
/// runs are merged so that each is more than twice as long as the next, which bounds both their number and the work a
/// key causes by the logarithm of the number of keys. The writer never comes here.
/// </summary>
internal sealed unsafe class KeyOrder
{
    private readonly MemoryBudget _budget;
    private readonly Lock _lock = new();
    private readonly List<OrderRun> _runs = [];
    private KeyNode* _last;

    public KeyOrder(MemoryBudget budget) => _budget = budget;

    /// <summary>
    /// The runs that hold every key inserted up to now, each with a reference that the caller releases.
    /// <paramref name="first"/> is the memtable's first inserted node, or null.
    /// </summary>
    public void Acquire(KeyNode* first, List<OrderRun> runs)
    {
        lock (_lock)
        {
            CatchUp(first);
            foreach (OrderRun run in _runs)
            {
                run.AddReference();
                runs.Add(run);
            }
        }
    }

    public void Free()
    {
        lock (_lock)
        {
            foreach (OrderRun run in _runs)
                run.Release();
            _runs.Clear();
            _last = null;
        }
    }

    private void CatchUp(KeyNode* first)
    {
        KeyNode* start = _last == null ? first : KeyNode.LoadNextInserted(_last);
        if (start == null)
            return;
        // The last new node is settled by counting: the writer may be adding more behind it.
        int count = 0;
        KeyNode* end = start;
        for (KeyNode* node = start; node != null; node = KeyNode.LoadNextInserted(node))
        {
            end = node;
            count++;
        }

        var run = new OrderRun(_budget, count);
        KeyNode* next = start;
        for (int i = 0; i < count; i++)
        {
            run.Nodes[i] = next;
            next = KeyNode.LoadNextInserted(next);
        }

        Check.That(run.Nodes[count - 1] == end);
        OrderSort.Sort(run);
        _last = end;
        while (_runs.Count > 0 && _runs[^1].Count <= 2L * run.Count)
        {
            OrderRun older = _runs[^1];
            _runs.RemoveAt(_runs.Count - 1);
            OrderRun merged = OrderSort.Merge(_budget, older, run);
            older.Release();
            run.Release();
            run = merged;
        }

        _runs.Add(run);
    }
}
