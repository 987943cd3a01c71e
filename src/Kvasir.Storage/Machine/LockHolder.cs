using System.Globalization;

namespace Kvasir.Storage.Machine;

/// <summary>
/// The process that wrote its number into a lock's file. The system takes down the memory of a killed process before it
/// gives back its locks, which with gigabytes takes longer than a restart: who finds the lock held by such a process only
/// has to wait a moment.
/// </summary>
internal static class LockHolder
{
    private const int ExitingFlag = 4;
    private const ulong KillSignal = 1UL << 8;

    /// <summary>Whether the process is gone, or can do nothing any more but go; false where the system does not tell.</summary>
    public static bool IsEnding(string process)
    {
        if (!OperatingSystem.IsLinux() || !int.TryParse(process, NumberStyles.None, CultureInfo.InvariantCulture, out int number))
            return false;
        try
        {
            // proc(5): the name, in parentheses, may itself hold any character.
            string stat = File.ReadAllText($"/proc/{number}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            if (fields[0] is "Z" or "X" || (long.Parse(fields[6], CultureInfo.InvariantCulture) & ExitingFlag) != 0)
                return true;
            return File.ReadLines($"/proc/{number}/status").Any(static line =>
                (line.StartsWith("SigPnd:", StringComparison.Ordinal) || line.StartsWith("ShdPnd:", StringComparison.Ordinal))
                && (ulong.Parse(line.AsSpan(7).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture) & KillSignal) != 0);
        }
        catch (Exception e) when (e is IOException)
        {
            return true;
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
    }
}
