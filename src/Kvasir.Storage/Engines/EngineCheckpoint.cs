namespace Kvasir.Storage.Engines;

/// <summary>A moment of an engine that is about to be copied. One thread at a time; dispose it soon, flushes wait for that.</summary>
public abstract class EngineCheckpoint : IDisposable
{
    /// <summary>
    /// Waits until everything of the moment is in the files, then writes an openable copy of it to a new folder, by hard
    /// links. Throws <see cref="Files.WritesStoppedException"/> when a background failure stopped the flush.
    /// Cancelled, it throws <see cref="OperationCanceledException"/> and may leave a part of the folder.
    /// </summary>
    public abstract void WriteTo(string folder, CancellationToken cancellation = default);

    /// <summary>
    /// Calls this once when everything of the moment is in the files, or a flush has failed, and <see cref="WriteTo"/> does not wait: at
    /// once, or by another thread, which must not be held up. Perhaps never, where the engine is closed before; perhaps behind the end of this.
    /// </summary>
    public abstract void WhenInFiles(Action then);

    public abstract void Dispose();
}
