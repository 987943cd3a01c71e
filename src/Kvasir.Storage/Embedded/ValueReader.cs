namespace Kvasir.Storage.Embedded;

/// <summary>Looks at a value where it lies. The span is valid until it returns. Called on the thread that reads, before that call returns.</summary>
public delegate void ValueReader<in TState>(ReadOnlySpan<byte> value, TState state)
    where TState : allows ref struct;
