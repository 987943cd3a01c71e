using Kvasir.Primitives;

namespace Kvasir.Cli.Bench.Servers;

/// <summary>What came in of a reply.</summary>
internal enum LoadReply
{
    /// <summary>Something of the protocol itself; it answers nobody.</summary>
    Nothing,
    Answer,

    /// <summary>A read that found nothing.</summary>
    Missing,
    Error,
}

/// <summary>
/// How the requests of a load run look as bytes, and where their replies end: all that two kinds of server differ in for
/// the load generator. One for each connection; replies come in the order of requests.
/// </summary>
internal interface ILoadProtocol
{
    void Get(BytesBuffer output, long key);

    void Set(BytesBuffer output, long key, ReadOnlySpan<byte> value);

    void Increment(BytesBuffer output, long key);

    /// <summary>Neighbouring keys, from this one on, in a circle of <paramref name="keys"/>.</summary>
    void Scan(BytesBuffer output, long key, int length, long keys);

    /// <summary>Takes what is whole off the beginning of the input: its length, or 0 when more must come first.</summary>
    int Take(ReadOnlySpan<byte> input, out LoadReply reply);

    /// <summary>Appends what the protocol itself has to send: at the beginning, and after <see cref="Take"/>.</summary>
    void AppendOwn(BytesBuffer output);
}
