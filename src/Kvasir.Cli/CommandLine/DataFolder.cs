namespace Kvasir.Cli.CommandLine;

/// <summary>Folders that commands make for what they start.</summary>
internal static class DataFolder
{
    /// <summary>Makes it, where it is not there.</summary>
    /// <exception cref="UsageException">It cannot be made at that place.</exception>
    public static void Make(string folder)
    {
        try
        {
            Directory.CreateDirectory(folder);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Some systems of files take no folders, and say that a part of the path is missing.
            throw new UsageException($"the folder {folder} cannot be made: {(e is DirectoryNotFoundException or FileNotFoundException ? "the system makes none there" : e.Message)}", e);
        }
    }
}
