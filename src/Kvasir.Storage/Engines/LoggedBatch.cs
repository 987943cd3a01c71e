using Kvasir.Primitives;

namespace Kvasir.Storage.Engines;

/// <summary>The bytes of a <see cref="WriteBatch"/> that came from a log, within a buffer that holds others, too.</summary>
/// <param name="Start">Of its bytes in the buffer.</param>
/// <param name="Length">In bytes.</param>
/// <param name="Position">Of its log record.</param>
public readonly record struct LoggedBatch(int Start, int Length, LogPosition Position);
