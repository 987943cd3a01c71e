using System.Runtime.Intrinsics.X86;
using Kvasir.Primitives;
using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;

namespace Kvasir.Storage.Buffered.MemTables;

/// <summary>
/// Walks the versions, between two sequence numbers, of the keys of one run, forwards only: what the flush reads. Of each
/// key those behind one that even the oldest snapshot sees are passed over: nobody can see them, and each would be a miss of
/// the processor's caches.
/// </summary>
internal sealed unsafe class FlushedVersionIterator : InternalIterator
{
    // How many keys ahead their lines are asked for: first the key, whose line then tells where the version is.
    private const int NodePrefetch = 8;
    private const int VersionPrefetch = 4;

    private readonly OrderRun _run;
    private readonly ulong _oldestSnapshot;
    private readonly ulong _after;
    private readonly ulong _sequence;
    private ValueVersion* _version;
    private int _index = -1;

    /// <summary>Takes over one reference to the run.</summary>
    public FlushedVersionIterator(OrderRun run, ulong after, ulong sequence, ulong oldestSnapshot)
    {
        _run = run;
        _oldestSnapshot = oldestSnapshot;
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
        Show(_version->Trailer >> 8 <= _oldestSnapshot ? null : _version->Older);
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
        {
            if (Sse.IsSupported && _index + NodePrefetch < _run.Count)
            {
                byte* ahead = (byte*)_run.Nodes[_index + NodePrefetch];
                Sse.Prefetch0(ahead);
                Sse.Prefetch0(ahead + 64);
                ValueVersion.Prefetch(_run.Nodes[_index + VersionPrefetch]->Newest);
            }

            Show(KeyNode.Visible(_run.Nodes[_index], _sequence));
        }
    }

    private void Show(ValueVersion* version) =>
        _version = version != null && version->Trailer >> 8 > _after ? version : null;

    private static InvariantViolationException ForwardOnly() => new("a flush reads forwards");
}
