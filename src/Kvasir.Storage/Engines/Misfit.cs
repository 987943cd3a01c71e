namespace Kvasir.Storage.Engines;

/// <summary>
/// What is longer than an engine takes, in the words that whoever wrote it is told. Asked before it is written to a log: what is there must
/// be taken.
/// </summary>
public static class Misfit
{
    /// <summary>Of a key and its value; null where the engine takes them.</summary>
    /// <param name="key">Of a put or a deletion.</param>
    /// <param name="value">Of a put.</param>
    /// <param name="engine">Whose limits count.</param>
    /// <param name="name">The engine's word, for readers who may not know which one is meant.</param>
    public static string? Of(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, IStorageEngine engine, string? name = null)
    {
        if (key.Length > engine.KeyBytesMax)
            return $"a key of {key.Length} bytes, and {Named(name)} takes keys of at most {engine.KeyBytesMax}";
        return value.Length > engine.ValueBytesMax
            ? $"a value of {value.Length} bytes, and {Named(name)} takes values of at most {engine.ValueBytesMax}"
            : null;
    }

    /// <summary>Of the first operation of a batch that has any. The bounds of a range are no keys: they may be as long as they like.</summary>
    public static string? Of(ReadOnlySpan<byte> batch, IStorageEngine engine, string? name = null)
    {
        // Nothing in it is longer than all of it.
        if (batch.Length <= engine.KeyBytesMax && batch.Length <= engine.ValueBytesMax)
            return null;
        var reader = new BatchReader(batch);
        while (reader.MoveNext())
        {
            if (reader.Kind != BatchOperationKind.DeleteRange && Of(reader.Key, reader.Value, engine, name) is { } misfit)
                return misfit;
        }

        return null;
    }

    private static string Named(string? name) => name is null ? "the engine" : "the engine " + name;
}
