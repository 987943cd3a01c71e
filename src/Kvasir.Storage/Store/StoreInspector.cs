using System.Globalization;
using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Storage.Store;

/// <summary>What a store's folder says of itself: for tools that look without opening it.</summary>
public static class StoreInspector
{
    /// <summary>The engine below the store. Throws when the store's identity is damaged.</summary>
    public static string EngineName(IFileSystem files, string folder) => StoreIdentity.Read(files, IdentityPath(folder)).Engine;

    public static string IdentityPath(string folder) => StoreIdentity.PathIn(folder);

    /// <summary>The identity's one part; throws where it is damaged.</summary>
    public static InspectedPart Inspect(IFileSystem files, string path)
    {
        StoreIdentity identity = StoreIdentity.Read(files, path);
        return new InspectedPart(0, files.FileLength(path), "store",
        [
            new("engine", identity.Engine),
            new("journal", identity.JournalId.ToString("x16", CultureInfo.InvariantCulture)),
            new("flushed file", identity.HasFlushed ? "yes" : "no"),
            new("checksum", identity.IsSealed ? "yes" : "no"),
        ]);
    }

    /// <summary>
    /// One of the store's small files that is gone, as others tell; null for none. Throws when the store's identity is damaged.
    /// </summary>
    public static DamageFinding? FindMissingFile(IFileSystem files, string folder) =>
        StoreIdentity.FindMissing(files, folder) is { } path ? new DamageFinding(path, 0, "the file is missing") : null;

    /// <summary>
    /// What the journal must be, given up to where the engine's files hold it. Throws when the store's identity is damaged.
    /// </summary>
    public static JournalOptions ExpectedJournal(IFileSystem files, string folder, LogPosition flushed)
    {
        ulong journal = StoreIdentity.Read(files, IdentityPath(folder)).JournalId;
        FlushedMarks marks = FlushedFile.Open(files, folder, journal).Marks;
        return new() { MustExist = true, JournalId = journal, MustReach = flushed > marks.End ? flushed : marks.End };
    }

    /// <summary>
    /// What the engine's files lack that the journal has let go of, given up to where they hold it; null for nothing.
    /// Throws where what tells of it is damaged.
    /// </summary>
    public static DamageFinding? FindMissing(IFileSystem files, string folder, LogPosition flushed)
    {
        FlushedMarks marks = FlushedFile.Open(files, folder, StoreIdentity.Read(files, IdentityPath(folder)).JournalId).Marks;
        return marks.Missing(0, flushed) is { } missing ? new DamageFinding(folder + "/engine", 0, missing) : null;
    }
}
