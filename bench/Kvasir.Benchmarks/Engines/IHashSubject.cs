namespace Kvasir.Benchmarks.Engines;

/// <summary>Something that finds values by keys, under the hands of several threads.</summary>
internal interface IHashSubject : IDisposable
{
    IHashWorker NewWorker();

    /// <summary>Prints what only it knows of itself.</summary>
    void PrintOwn(long keys);
}

/// <summary>What one thread has of it. Disposed of by the same thread.</summary>
internal interface IHashWorker : IDisposable
{
    void Upsert(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value);

    /// <summary>Copies the value somewhere; or will have, when <see cref="Finish"/> returns.</summary>
    void Read(ReadOnlySpan<byte> key);

    /// <summary>Returns when all reads have come to their end, and says how many found their key.</summary>
    long Finish();
}
