using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Storage.Store;

/// <summary>What a store's folder says of itself: for tools that look without opening it.</summary>
public static class StoreInspector
{
    /// <summary>
    /// What the journal must be, given up to where the engine's files hold it. Throws when the store's identity is damaged.
    /// </summary>
    public static JournalOptions ExpectedJournal(IFileSystem files, string folder, LogPosition flushed) =>
        new() { MustExist = true, JournalId = StoreIdentity.ReadJournalId(files, folder), MustReach = flushed };
}
