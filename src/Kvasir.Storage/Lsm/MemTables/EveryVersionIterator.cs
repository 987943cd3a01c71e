using Kvasir.Primitives;
using Kvasir.Storage.Lsm.Iterators;
using Kvasir.Storage.Lsm.Keys;

namespace Kvasir.Storage.Lsm.MemTables;

/// <summary>
/// Walks every version, between two sequence numbers, of the keys of one run, forwards only: what the flush reads.
/// </summary>
internal sealed unsafe class EveryVersionIterator : InternalIterator
{
    private readonly OrderRun _run;
    private readonly ulong _after;
    private readonly ulong _sequence;
    private ValueVersion* _version;
    private int _index = -1;

    /// <summary>Takes over one reference to the run.</summary>
    public EveryVersionIterator(OrderRun run, ulong after, ulong sequence)
    {
        _run = run;
        _after = after;
        _sequence = sequence;
    }

    public override bool Valid => _version != null;

    public override ReadOnlySpan<byte> UserKey => _run.KeyAt(_index);

    public override Trailer Trailer => new(_version->Trailer);

    public override ReadOnlySpan<byte> Value => ValueVersion.Value(_version);

    public override long ExpiresAtMs => ValueVersion.ExpiresAtMs(_version);

    public override void SeekToFirst()
    {
        _index = -1;
        _version = null;
        NextKey();
    }

    public override void Next()
    {
        Show(_version->Older);
        if (_version == null)
            NextKey();
    }

    public override void SeekToLast() => throw ForwardOnly();

    public override void Seek(ReadOnlySpan<byte> userKey, Trailer trailer) => throw ForwardOnly();

    public override void SeekForPrevious(ReadOnlySpan<byte> userKey, Trailer trailer) => throw ForwardOnly();

    public override void Previous() => throw ForwardOnly();

    protected override void Dispose(bool disposing)
    {
        _version = null;
        _run.Release();
    }

    private void NextKey()
    {
        while (_version == null && ++_index < _run.Count)
            Show(KeyNode.Visible(_run.Nodes[_index], _sequence));
    }

    private void Show(ValueVersion* version) =>
        _version = version != null && version->Trailer >> 8 > _after ? version : null;

    private static InvariantViolationException ForwardOnly() => new("a flush reads forwards");
}
