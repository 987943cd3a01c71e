using System.Globalization;
using System.Text;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Storage.Store;

/// <summary>
/// The file <c>STORE</c>: the format, the engine and the journal of a store's folder. It appears after the first journal segment, so
/// where it stands a journal that is missing was lost.
/// </summary>
internal static class StoreIdentity
{
    private const string FirstLine = "kvasir store 1";
    private const string JournalWord = "journal ";

    /// <summary>What is known of the journal: nothing when the folder is new. Throws when it holds something else.</summary>
    public static JournalOptions Check(IFileSystem files, string folder, string engineName, JournalOptions journal)
    {
        if (!files.FileExists(PathIn(folder)))
        {
            RefuseUnlessOwn(files, folder);
            return journal;
        }

        string[] lines = Read(files, folder);
        if (lines[1] != engineName)
            throw new StorageException($"{folder} holds a store of engine '{lines[1]}', not '{engineName}'");
        return journal with { MustExist = true, JournalId = JournalIdOf(folder, lines) };
    }

    /// <summary>
    /// A store's engine is there before its journal. A journal without one belongs to something else, a server for instance, which would
    /// lose what this store takes from it.
    /// </summary>
    private static void RefuseUnlessOwn(IFileSystem files, string folder)
    {
        string journal = folder + "/journal";
        if (files.FolderExists(journal) && files.ListFiles(journal).Count > 0 && !files.FolderExists(folder + "/engine"))
            throw new StorageException($"{folder} holds a journal and no STORE: it is not a store's folder, but a server's perhaps. Give the store a folder of its own");
    }

    public static ulong ReadJournalId(IFileSystem files, string folder) => JournalIdOf(folder, Read(files, folder));

    public static string ReadEngineName(IFileSystem files, string folder) => Read(files, folder)[1];

    private static string PathIn(string folder) => folder + "/STORE";

    // Early versions did not say.
    private static ulong JournalIdOf(string folder, string[] lines)
    {
        if (lines.Length < 3 || lines[2].Length == 0)
            return 0;
        if (lines[2].StartsWith(JournalWord, StringComparison.Ordinal)
            && ulong.TryParse(lines[2].AsSpan(JournalWord.Length), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong id))
            return id;
        throw new CorruptionException(PathIn(folder), 0, $"'{lines[2]}' is no journal");
    }

    private static string[] Read(IFileSystem files, string folder)
    {
        string path = PathIn(folder);
        byte[] bytes = new byte[Math.Min(files.FileLength(path), 256)];
        using (IFile file = files.Open(path, FileOpenMode.Read))
            file.Read(bytes, 0);
        string[] lines = Encoding.UTF8.GetString(bytes).Split('\n');
        if (lines.Length < 2 || !lines[0].StartsWith("kvasir store ", StringComparison.Ordinal))
            throw new CorruptionException(path, 0, "this is not the identity of a store");
        if (lines[0] != FirstLine)
            throw new FormatTooNewException($"{path} says '{lines[0]}'; this Kvasir reads '{FirstLine}'. Use a newer Kvasir.");
        return lines;
    }

    public static void Write(IFileSystem files, string folder, string engineName, ulong journalId) =>
        AtomicFile.Replace(files, PathIn(folder), Encoding.UTF8.GetBytes($"{FirstLine}\n{engineName}\n{JournalWord}{journalId:x16}\n"));
}
