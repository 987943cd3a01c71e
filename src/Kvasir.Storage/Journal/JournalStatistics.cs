namespace Kvasir.Storage.Journal;

/// <summary>What a journal did since it was opened. Records for each sync are the size of a commit group.</summary>
/// <param name="Records">Records appended.</param>
/// <param name="Writes">Writes of one chunk of records each.</param>
/// <param name="WrittenBytes">Bytes of these writes.</param>
/// <param name="Syncs">Syncs of data that waited for one.</param>
/// <param name="SyncMicroseconds">Time spent in them, in all.</param>
/// <param name="SlowestSyncMicroseconds">The longest of them.</param>
public readonly record struct JournalStatistics(
    long Records, long Writes, long WrittenBytes, long Syncs, long SyncMicroseconds, long SlowestSyncMicroseconds);
