namespace Kvasir.Simulation.Models;

/// <summary>How an iterator over a model must move: bounds, both directions, nothing that had expired when it was made.</summary>
internal sealed class ModelCursor
{
    private readonly OrderedModel _model;
    private readonly long _nowMs;
    private readonly int _first;
    private readonly int _behind;
    private int _rank = -1;

    /// <summary>Empty bounds are none.</summary>
    public ModelCursor(OrderedModel model, byte[] lower, byte[] upper, long nowMs)
    {
        _model = model;
        _nowMs = nowMs;
        _first = lower.Length == 0 ? 0 : model.RankOf(lower);
        _behind = upper.Length == 0 ? model.Count : model.RankOf(upper);
    }

    public bool Valid => _rank >= _first && _rank < _behind;

    public OrderedRow Row => _model[_rank];

    public void SeekToFirst() => Forward(_first);

    public void SeekToLast() => Backward(_behind - 1);

    public void Seek(byte[] key) => Forward(Math.Max(_first, _model.RankOf(key)));

    public void SeekForPrevious(byte[] key)
    {
        int rank = _model.RankOf(key);
        bool there = rank < _model.Count && _model[rank].Key.AsSpan().SequenceEqual(key);
        Backward(Math.Min(_behind - 1, there ? rank : rank - 1));
    }

    public void Next() => Forward(_rank + 1);

    public void Previous() => Backward(_rank - 1);

    private void Forward(int rank)
    {
        while (rank < _behind && !_model[rank].IsLiveAt(_nowMs))
            rank++;
        _rank = rank < _behind ? rank : -1;
    }

    private void Backward(int rank)
    {
        while (rank >= _first && !_model[rank].IsLiveAt(_nowMs))
            rank--;
        _rank = rank >= _first ? rank : -1;
    }
}
