using System.Text;

namespace Kvasir.Cli.CommandLine;

/// <summary>
/// Arguments as the bytes that they were given as. The platform hands them over as text, and puts U+FFFD for what is not
/// UTF-8: sent on like that, other bytes would be stored than were given.
/// </summary>
internal static class ArgumentBytes
{
    private const string CommandLineFile = "/proc/self/cmdline";

    /// <summary><paramref name="last"/> are the last arguments of this process.</summary>
    public static byte[][] Of(string[] last)
    {
        if (!last.Any(static word => word.Contains('\uFFFD', StringComparison.Ordinal)))
            return [.. last.Select(Encoding.UTF8.GetBytes)];
        List<byte[]> all = OfProcess();
        if (all.Count <= last.Length)
            throw Unknown(null);
        return [.. all[^last.Length..]];
    }

    private static List<byte[]> OfProcess()
    {
        byte[] bytes;
        try
        {
            bytes = File.ReadAllBytes(CommandLineFile);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Unknown(e);
        }

        // Each ends with a zero byte.
        List<byte[]> all = [];
        int from = 0;
        int end;
        while ((end = Array.IndexOf(bytes, (byte)0, from)) >= 0)
        {
            all.Add(bytes[from..end]);
            from = end + 1;
        }

        return all;
    }

    private static UsageException Unknown(Exception? why) =>
        new("an argument is not UTF-8, and its bytes cannot be learned here: write it with \\x escapes in double quotes, on standard input", why);
}
