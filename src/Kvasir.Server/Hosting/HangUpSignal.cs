using System.Globalization;

namespace Kvasir.Server.Hosting;

/// <summary>SIGHUP: the terminal of a process is gone.</summary>
public static class HangUpSignal
{
    /// <summary>
    /// As nohup leaves it: a server that was to outlive its terminal must not begin to listen to the signal again.
    /// </summary>
    public static bool IsIgnored()
    {
        try
        {
            string? ignored = File.ReadLines("/proc/self/status").FirstOrDefault(static line => line.StartsWith("SigIgn:", StringComparison.Ordinal));
            return ignored is not null
                && ulong.TryParse(ignored.AsSpan("SigIgn:".Length).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong mask)
                && (mask & 1) != 0;
        }
        catch (IOException)
        {
            return false;
        }
    }
}
