namespace Kvasir.Storage.Buffered;

/// <summary>A read state that a snapshot, and those who read at it, hold together; the last lets go of it. Thread-safe.</summary>
internal sealed class HeldState(ReadState state, int stripe)
{
    private ReferenceCount _references = new(1);

    public ReadState State => state;

    /// <summary>False when the snapshot was disposed of, and nobody reads at it.</summary>
    public bool TryHold() => _references.TryAdd();

    public void Release()
    {
        if (_references.Release())
            state.Leave(stripe);
    }
}
