using System.Globalization;
using System.Text;
using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Storage.Store;

/// <summary>
/// The file <c>STORE</c> (docs/formats/store.md): the format, the engine and the journal of a store's folder. It appears after the first
/// journal segment, so where it stands a journal that is missing was lost; and before <c>FLUSHED</c>, which it tells of from then on.
/// </summary>
/// <param name="Engine">The word of the engine below.</param>
/// <param name="JournalId">Of the journal that belongs here; 0 where an early version did not say.</param>
internal sealed record StoreIdentity(string Engine, ulong JournalId)
{
    public const string Name = "STORE";

    private const string FirstLine = "kvasir store 1";
    private const string JournalWord = "journal ";
    private const string FlushedLine = "flushed";
    private const string ChecksumWord = "crc32c ";
    private const int BytesMax = 256;

    /// <summary>The folder has had a <see cref="FlushedFile"/>: one that is missing now is a loss.</summary>
    public bool HasFlushed { get; init; }

    /// <summary>Has a checksum: those of early versions have none.</summary>
    public bool IsSealed { get; private init; }

    public static string PathIn(string folder) => folder + "/" + Name;

    /// <summary>
    /// Whose the folder is; null where it is new. Throws when it holds something else than a store of that engine, and when a file is gone that
    /// it had.
    /// </summary>
    public static StoreIdentity? Check(IFileSystem files, string folder, string engineName)
    {
        if (!files.FileExists(PathIn(folder)))
            RefuseUnlessOwn(files, folder);
        if (FindMissing(files, folder) is { } missing)
            throw new FileMissingException(missing);
        if (!files.FileExists(PathIn(folder)))
            return null;

        // Its name, or that of FLUSHED, may be in the page cache only, from a start that was killed; what follows is durable before it.
        files.SyncFolder(folder);
        StoreIdentity identity = Read(files, PathIn(folder));
        return identity.Engine == engineName
            ? identity
            : throw new StorageException($"{folder} holds a store of engine '{identity.Engine}', not '{engineName}'");
    }

    /// <summary>
    /// Of this file and <c>FLUSHED</c> the one that the other tells of, and that is not there; null where neither is missed. Throws where this
    /// one is damaged.
    /// </summary>
    public static string? FindMissing(IFileSystem files, string folder)
    {
        bool hasFlushed = files.FileExists(FlushedFile.PathIn(folder));
        if (!files.FileExists(PathIn(folder)))
            return hasFlushed ? PathIn(folder) : null;
        return !hasFlushed && Read(files, PathIn(folder)).HasFlushed ? FlushedFile.PathIn(folder) : null;
    }

    public static StoreIdentity Read(IFileSystem files, string path)
    {
        byte[] bytes;
        using (IFile file = files.Open(path, FileOpenMode.Read))
        {
            if (file.Length > BytesMax)
                throw new CorruptionException(path, 0, $"it is {file.Length} bytes long, and {BytesMax} would be much");
            bytes = new byte[file.Length];
            if (file.Read(bytes, 0) != bytes.Length)
                throw new CorruptionException(path, 0, "it is shorter than the system says");
        }

        List<string> lines = [.. Encoding.UTF8.GetString(bytes).Split('\n')];
        bool isSealed = lines is [.., var seal, ""] && seal.StartsWith(ChecksumWord, StringComparison.Ordinal);
        if (isSealed)
        {
            ReadOnlySpan<byte> content = bytes.AsSpan(..^(lines[^2].Length + 1));
            if (lines[^2] != SealOf(content))
                throw new CorruptionException(path, 0, "its checksum does not match");
            lines.RemoveRange(lines.Count - 2, 2);
        }

        if (lines.Count < 2 || !lines[0].StartsWith("kvasir store ", StringComparison.Ordinal))
            throw new CorruptionException(path, 0, "this is not the identity of a store");
        if (lines[0] != FirstLine)
            throw new FormatTooNewException($"{path} says '{lines[0]}'; this Kvasir reads '{FirstLine}'. Use a newer Kvasir.");

        // Three lines and no more had those without a checksum.
        if (!isSealed && (lines.Count > 4 || (lines.Count == 4 && lines[3].Length > 0)))
            throw new CorruptionException(path, 0, "the checksum at its end is missing");
        return new StoreIdentity(lines[1], JournalIdOf(path, lines)) { HasFlushed = lines.Contains(FlushedLine), IsSealed = isSealed };
    }

    /// <summary>Returns when it is the folder's, durably.</summary>
    public void Write(IFileSystem files, string folder)
    {
        string content = $"{FirstLine}\n{Engine}\n{JournalWord}{JournalId:x16}\n{(HasFlushed ? FlushedLine + "\n" : "")}";
        AtomicFile.Replace(files, PathIn(folder), Encoding.UTF8.GetBytes($"{content}{SealOf(Encoding.UTF8.GetBytes(content))}\n"));
    }

    /// <summary>
    /// A store's engine is there before its journal. A journal without one belongs to something else, a server for instance, which would
    /// lose what this store takes from it.
    /// </summary>
    private static void RefuseUnlessOwn(IFileSystem files, string folder)
    {
        string journal = folder + "/journal";
        if (files.FolderExists(journal) && files.ListFiles(journal).Count > 0 && !files.FolderExists(folder + "/engine"))
            throw new StorageException($"{folder} holds a journal and no {Name}: it is not a store's folder, but a server's perhaps. Give the store a folder of its own");
    }

    // Early versions did not say.
    private static ulong JournalIdOf(string path, List<string> lines)
    {
        if (lines.Count < 3 || lines[2].Length == 0)
            return 0;
        if (lines[2].StartsWith(JournalWord, StringComparison.Ordinal)
            && ulong.TryParse(lines[2].AsSpan(JournalWord.Length), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong id))
            return id;
        throw new CorruptionException(path, 0, $"'{lines[2]}' is no journal");
    }

    private static string SealOf(ReadOnlySpan<byte> content) => $"{ChecksumWord}{Crc32C.Compute(content):x8}";
}
