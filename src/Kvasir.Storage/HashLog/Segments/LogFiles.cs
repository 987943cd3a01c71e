using System.Globalization;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.HashLog.Segments;

/// <summary>Names of the files in the folder of a hash log.</summary>
internal static class LogFiles
{
    public const string ManifestName = "HASHLOG";
    public const string ManifestTemporaryName = ManifestName + AtomicFile.MakingSuffix;
    public const string SegmentSuffix = ".log";
    public const string HintSuffix = ".hint";

    public static string Join(string folder, string name) => System.IO.Path.Join(folder, name);

    public static string SegmentName(ulong number) => string.Create(CultureInfo.InvariantCulture, $"{number:D8}{SegmentSuffix}");

    public static string HintName(ulong number) => string.Create(CultureInfo.InvariantCulture, $"{number:D8}{HintSuffix}");

    public static string SegmentPath(string folder, ulong number) => Join(folder, SegmentName(number));

    public static string HintPath(string folder, ulong number) => Join(folder, HintName(number));

    public static bool TryParseSegment(string name, out ulong number) => TryParse(name, SegmentSuffix, out number);

    public static bool TryParseHint(string name, out ulong number) => TryParse(name, HintSuffix, out number);

    private static bool TryParse(string name, string suffix, out ulong number)
    {
        number = 0;
        return name.EndsWith(suffix, StringComparison.Ordinal)
            && ulong.TryParse(name.AsSpan(0, name.Length - suffix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out number);
    }
}
