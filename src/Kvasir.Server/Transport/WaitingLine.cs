namespace Kvasir.Server.Transport;

/// <summary>
/// Those who wait for room, the end of a pause, or the like: who has waited longest goes on first, since where there is room for a few at a
/// time whoever is asked last would wait as long as others come. Who got on and has to wait again begins to wait anew, behind all others.
/// </summary>
/// <param name="progressOf">Changes whenever one of them gets on.</param>
internal sealed class WaitingLine<T>(Func<T, long> progressOf)
{
    private readonly List<(T Who, long Progress)> _line = [];
    private readonly List<(T Who, long Progress)> _gotOn = [];

    public int Count => _line.Count;

    public T this[int index] => _line[index].Who;

    public void Add(T who) => _line.Add((who, progressOf(who)));

    /// <summary>Has each try to get on, in turn; who waits no longer, as it says, leaves the line.</summary>
    public void Resume(Func<T, bool> staysAfterTrying)
    {
        SendBack();
        int kept = 0;
        for (int i = 0; i < _line.Count; i++)
        {
            if (staysAfterTrying(_line[i].Who))
                _line[kept++] = _line[i];
        }

        _line.RemoveRange(kept, _line.Count - kept);
    }

    /// <summary>Who runs elsewhere, or later in its turn, has shown only by now whether it got on.</summary>
    private void SendBack()
    {
        int kept = 0;
        for (int i = 0; i < _line.Count; i++)
        {
            (T who, long before) = _line[i];
            long now = progressOf(who);
            if (now == before)
                _line[kept++] = _line[i];
            else
                _gotOn.Add((who, now));
        }

        _line.RemoveRange(kept, _line.Count - kept);
        _line.AddRange(_gotOn);
        _gotOn.Clear();
    }
}
