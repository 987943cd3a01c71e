namespace Kvasir.Storage.Files;

/// <summary>Folders with all that is in them.</summary>
public static class FolderTree
{
    /// <summary>Removes a folder and everything below it; none is there: nothing happens.</summary>
    public static void Remove(IFileSystem files, string folder)
    {
        if (!files.FolderExists(folder))
            return;
        foreach (string name in files.ListFolders(folder))
            Remove(files, folder + "/" + name);
        foreach (string name in files.ListFiles(folder))
            files.Delete(folder + "/" + name);
        files.DeleteFolder(folder);
    }

    /// <summary>
    /// Makes a folder that was not there, and removes it again when that fails: what lies in it would keep the space of
    /// files that nobody needs, and stand in the way of the next attempt.
    /// </summary>
    public static void Build(IFileSystem files, string folder, Action build)
    {
        try
        {
            files.CreateFolder(folder);
            build();
        }
        catch (Exception failure) when (failure is StorageException or OperationCanceledException or ObjectDisposedException)
        {
            try
            {
                Remove(files, folder);
            }
            catch (StorageException)
            {
                // The first failure is the one to tell.
            }

            throw;
        }
    }
}
