using System.Text;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Store;

/// <summary>
/// The file <c>STORE</c>: the format and the engine of a store's folder. It appears after the first journal segment, so
/// where it stands a journal that is missing was lost.
/// </summary>
internal static class StoreIdentity
{
    private const string FirstLine = "kvasir store 1";

    /// <summary>False when the folder is new; throws when it holds something else.</summary>
    public static bool Check(IFileSystem files, string folder, string engineName)
    {
        string path = folder + "/STORE";
        if (!files.FileExists(path))
            return false;
        byte[] bytes = new byte[Math.Min(files.FileLength(path), 256)];
        using (IFile file = files.Open(path, FileOpenMode.Read))
            file.Read(bytes, 0);
        string[] lines = Encoding.UTF8.GetString(bytes).Split('\n');
        if (lines.Length < 2 || !lines[0].StartsWith("kvasir store ", StringComparison.Ordinal))
            throw new CorruptionException(path, 0, "this is not the identity of a store");
        if (lines[0] != FirstLine)
            throw new FormatTooNewException($"{path} says '{lines[0]}'; this Kvasir reads '{FirstLine}'. Use a newer Kvasir.");
        if (lines[1] != engineName)
            throw new StorageException($"{folder} holds a store of engine '{lines[1]}', not '{engineName}'");
        return true;
    }

    public static void Write(IFileSystem files, string folder, string engineName)
    {
        string path = folder + "/STORE";
        string making = path + ".making";
        if (files.FileExists(making))
            files.Delete(making);
        using (IFile file = files.Open(making, FileOpenMode.CreateNew))
        {
            file.Write(Encoding.UTF8.GetBytes($"{FirstLine}\n{engineName}\n"), 0);
            file.Sync(SyncMode.Full);
        }

        files.Rename(making, path);
        files.SyncFolder(folder);
    }
}
