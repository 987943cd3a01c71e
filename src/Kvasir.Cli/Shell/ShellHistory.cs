namespace Kvasir.Cli.Shell;

/// <summary>
/// Lines typed before, oldest first, kept in a file that only its owner can read. Lines that hold passwords are not
/// kept. A file that cannot be read or written is a pity, not an error.
/// </summary>
internal sealed class ShellHistory
{
    private const int LinesMax = 2000;
    private readonly List<string> _lines = [];
    private readonly string? _path;

    public ShellHistory(string? path)
    {
        _path = path;
        try
        {
            if (path is not null && File.Exists(path))
                _lines.AddRange(File.ReadLines(path).TakeLast(LinesMax));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _path = null;
        }
    }

    public IReadOnlyList<string> Lines => _lines;

    /// <summary>The user's file, by the XDG base directory specification; null when history is switched off.</summary>
    public static string? DefaultPath()
    {
        string? chosen = Environment.GetEnvironmentVariable("KVASIR_HISTORY");
        if (chosen is not null)
            return chosen.Length == 0 ? null : chosen;
        string? state = Environment.GetEnvironmentVariable("XDG_STATE_HOME");
        if (string.IsNullOrEmpty(state))
        {
            string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
            if (home.Length == 0)
                return null;
            state = Path.Combine(home, ".local", "state");
        }

        return Path.Combine(state, "kvasir", "history");
    }

    public void Add(string line)
    {
        if (line.Trim().Length == 0 || HoldsSecret(line) || (_lines.Count > 0 && _lines[^1] == line))
            return;
        _lines.Add(line);
        if (_path is null)
            return;
        try
        {
            string? folder = Path.GetDirectoryName(Path.GetFullPath(_path));
            if (folder is not null)
                Directory.CreateDirectory(folder);
            bool isNew = !File.Exists(_path);
            File.AppendAllText(_path, line + "\n");
            if (isNew && !OperatingSystem.IsWindows())
                File.SetUnixFileMode(_path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The line stays in memory for this session.
        }
    }

    private static bool HoldsSecret(string line)
    {
        foreach (string word in (ReadOnlySpan<string>)["auth", "requirepass", "masterauth", "acl"])
        {
            if (line.Contains(word, StringComparison.OrdinalIgnoreCase))
                return true;
        }

        return false;
    }
}
