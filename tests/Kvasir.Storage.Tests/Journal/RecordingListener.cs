using Kvasir.Primitives;
using Kvasir.Storage.Journal;

namespace Kvasir.Storage.Tests.Journal;

/// <summary>Remembers what a journal told.</summary>
internal sealed class RecordingListener : IJournalListener
{
    public List<LogPosition> DurablePositions { get; } = [];

    public List<(JournalFailure, LogPosition)> Failures { get; } = [];

    public void Durable(LogPosition position) => DurablePositions.Add(position);

    public void Failed(JournalFailure failure, Exception cause, LogPosition durable) => Failures.Add((failure, durable));
}
