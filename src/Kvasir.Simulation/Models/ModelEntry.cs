using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Simulation.Models;

/// <summary>One version of a key; a null value is a deletion.</summary>
internal readonly record struct ModelVersion(ulong Sequence, byte[]? Value, long ExpiresAtMs)
{
    public bool LivesAt(long nowMs) => Value is not null && (ExpiresAtMs == 0 || ExpiresAtMs > nowMs);
}

internal readonly record struct ModelRow(byte[] Key, ModelVersion Version);

/// <summary>A key with its versions, oldest first.</summary>
internal sealed class ModelEntry(byte[] key, ModelVersion first)
{
    public byte[] Key { get; } = key;

    public List<ModelVersion> Versions { get; } = [first];

    /// <summary>The newest version at or before <paramref name="sequence"/>.</summary>
    public ModelVersion? VisibleAt(ulong sequence)
    {
        for (int i = Versions.Count - 1; i >= 0; i--)
        {
            if (Versions[i].Sequence <= sequence)
                return Versions[i];
        }

        return null;
    }
}

/// <summary>What one snapshot or iterator can see.</summary>
internal sealed class ModelView
{
    public ulong Sequence { get; set; }
}

internal sealed class ModelSnapshot(ModelEngine engine, ModelView view) : EngineSnapshot(new SequenceNumber(view.Sequence))
{
    public ModelView View { get; } = view;

    protected override void Dispose(bool disposing) => engine.ReleaseView(View);
}

internal sealed class ModelIterator(ModelEngine engine, ModelView view, long nowMs, byte[] lower, byte[]? upper)
    : EngineIterator
{
    private ModelRow? _current;

    public override bool Valid => _current is not null;

    public override ReadOnlySpan<byte> Key => Current.Key;

    public override ReadOnlySpan<byte> Value => Current.Version.Value;

    public override long ExpiresAtMs => Current.Version.ExpiresAtMs;

    public override SequenceNumber Sequence => new(Current.Version.Sequence);

    public override void SeekToFirst() => Move(key: null, inclusive: true, forward: true);

    public override void SeekToLast() => Move(key: null, inclusive: true, forward: false);

    public override void Seek(ReadOnlySpan<byte> key) => Move(key.ToArray(), inclusive: true, forward: true);

    public override void SeekForPrevious(ReadOnlySpan<byte> key) => Move(key.ToArray(), inclusive: true, forward: false);

    public override void Next() => Move(Current.Key, inclusive: false, forward: true);

    public override void Previous() => Move(Current.Key, inclusive: false, forward: false);

    protected override void Dispose(bool disposing) => engine.ReleaseView(view);

    private ModelRow Current
    {
        get
        {
            Check.That(_current is not null, "the iterator stands on no key");
            return _current.Value;
        }
    }

    private void Move(byte[]? key, bool inclusive, bool forward) =>
        _current = engine.Find(key, inclusive, forward, view, nowMs, lower, upper);
}
