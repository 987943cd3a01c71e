using System.Globalization;

namespace Kvasir.Cli.Bench.Engines;

/// <summary>What the system says a process has used; zeros where it does not say (only Linux does).</summary>
/// <param name="PeakMemoryBytes">The most memory that was resident at once (VmHWM).</param>
/// <param name="DiskWriteBytes">Bytes the process caused to be sent to storage (write_bytes).</param>
internal readonly record struct ProcessUsage(long PeakMemoryBytes, long DiskWriteBytes)
{
    public static ProcessUsage Read() => Read("/proc/self");

    public static ProcessUsage Of(int processId) => Read(string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}"));

    private static ProcessUsage Read(string folder) => new(Field(folder + "/status", "VmHWM:") * 1024, Field(folder + "/io", "write_bytes:"));

    private static long Field(string path, string name)
    {
        try
        {
            foreach (string line in File.ReadLines(path))
            {
                if (!line.StartsWith(name, StringComparison.Ordinal))
                    continue;
                string number = line[name.Length..].Replace("kB", "", StringComparison.Ordinal).Trim();
                return long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out long value) ? value : 0;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Not a Linux system, or one that hides it.
        }

        return 0;
    }
}
