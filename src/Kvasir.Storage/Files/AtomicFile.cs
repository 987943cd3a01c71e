namespace Kvasir.Storage.Files;

/// <summary>Small files that are replaced as a whole: at every moment they have all of what they had, or all of what they get.</summary>
public static class AtomicFile
{
    /// <summary>What a file has behind its name until it is whole. One that a crash left is written over by the next replacement.</summary>
    public const string MakingSuffix = ".new";

    /// <summary>Returns when the file, which may be there or not, has these bytes, durably.</summary>
    public static void Replace(IFileSystem files, string path, ReadOnlySpan<byte> bytes)
    {
        string making = path + MakingSuffix;
        if (files.FileExists(making))
            files.Delete(making);
        using (IFile file = files.Open(making, FileOpenMode.CreateNew))
        {
            file.Write(bytes, 0);
            file.Sync(SyncMode.Full);
        }

        files.Rename(making, path);
        files.SyncFolder(Path.GetDirectoryName(path) is { Length: > 0 } folder ? folder : ".");
    }
}
