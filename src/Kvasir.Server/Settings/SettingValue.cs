using System.Globalization;

namespace Kvasir.Server.Settings;

/// <summary>Checks a parameter's new value and brings it into the form that CONFIG GET gives back.</summary>
internal static class SettingValue
{
    /// <summary>Null and the normal form, or Redis's words for what is wrong with it.</summary>
    public static string? Check(Setting setting, string text, string current, out string normal)
    {
        normal = text;
        switch (setting.Kind)
        {
            case SettingKind.Flag:
                normal = text.ToLowerInvariant();
                return normal is "yes" or "no" ? null : "argument must be 'yes' or 'no'";
            case SettingKind.Choice:
                string? choice = setting.Choices.FirstOrDefault(c => c.Equals(text, StringComparison.OrdinalIgnoreCase));
                normal = choice ?? text;
                return choice is null ? "argument(s) must be one of the following: " + string.Join(", ", setting.Choices) : null;
            case SettingKind.Number:
                return CheckNumber(setting, text, memory: false, out normal);
            case SettingKind.Memory:
                return CheckNumber(setting, text, memory: true, out normal);
            case SettingKind.MemoryOrPercent when text.EndsWith('%'):
                return !long.TryParse(text[..^1], CultureInfo.InvariantCulture, out long percent) || percent < 0 ? "argument must be a memory or percent value"
                    : percent > 100 ? "percentage argument must be less or equal to 100" : null;
            case SettingKind.MemoryOrPercent:
                return CheckNumber(setting, text, memory: true, out normal) is null ? null : "argument must be a memory or percent value";
            case SettingKind.Octal:
                return text.Length is > 0 and <= 4 && text.All(c => c is >= '0' and <= '7') ? null : "argument couldn't be parsed as an octal number";
            case SettingKind.NotificationClasses:
                if (!KeyEventFlags.TryParse(text, out KeyEventClass flags))
                    return "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
                normal = KeyEventFlags.Format(flags);
                return null;
            case SettingKind.Save:
                return CheckSave(text, out normal);
            case SettingKind.OutputLimits:
                return CheckOutputLimits(text, current, out normal);
            case SettingKind.Percentiles:
                return CheckPercentiles(text, out normal);
            case SettingKind.OomScores:
                string[] scores = Words(text);
                if (scores.Length != 3)
                    return "wrong number of arguments";
                return scores.All(s => int.TryParse(s, CultureInfo.InvariantCulture, out int n) && n is >= -2000 and <= 2000)
                    ? null : "Invalid oom-score-adj-values, elements must be between -2000 and 2000.";
            default:
                return null;
        }
    }

    private static string? CheckNumber(Setting setting, string text, bool memory, out string normal)
    {
        normal = text;
        if (!TryMemory(text, memory, out long value))
            return memory ? "argument must be a memory value" : "argument couldn't be parsed into an integer";
        if (value < setting.Min || value > setting.Max)
            return $"argument must be between {setting.Min} and {setting.Max} inclusive";
        normal = value.ToString(CultureInfo.InvariantCulture);
        return null;
    }

    /// <summary>Redis's memtoull: digits and an optional unit.</summary>
    internal static bool TryMemory(string text, bool units, out long value)
    {
        long factor = 1;
        string digits = text;
        if (units)
        {
            int end = text.Length;
            while (end > 0 && !char.IsAsciiDigit(text[end - 1]))
                end--;
            digits = text[..end];
            factor = text[end..].ToLowerInvariant() switch
            {
                "" or "b" => 1,
                "k" => 1000,
                "kb" => 1024,
                "m" => 1000 * 1000,
                "mb" => 1024 * 1024,
                "g" => 1000L * 1000 * 1000,
                "gb" => 1024L * 1024 * 1024,
                _ => 0,
            };
        }

        if (units && digits.Length == 0)
            digits = "0";
        if (!long.TryParse(digits, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value) || factor == 0
            || (units && value < 0) || value > long.MaxValue / factor)
        {
            return false;
        }

        value *= factor;
        return true;
    }

    private static string? CheckSave(string text, out string normal)
    {
        string[] words = Words(text);
        normal = string.Join(' ', words);
        if (words.Length % 2 != 0)
            return "Invalid save parameters";
        for (int i = 0; i < words.Length; i++)
        {
            if (!long.TryParse(words[i], CultureInfo.InvariantCulture, out long n) || n < (i % 2 == 0 ? 1 : 0))
                return "Invalid save parameters";
        }

        return null;
    }

    private static string? CheckOutputLimits(string text, string current, out string normal)
    {
        normal = text;
        string[] words = Words(text);
        if (words.Length % 4 != 0)
            return "Wrong number of arguments in buffer limit configuration.";
        string[] limits = Words(current);
        for (int i = 0; i < words.Length; i += 4)
        {
            int row = words[i].ToLowerInvariant() switch { "normal" => 0, "slave" or "replica" => 4, "pubsub" => 8, _ => -1 };
            if (row < 0)
                return "Invalid client class specified in buffer limit configuration.";
            if (!TryMemory(words[i + 1], units: true, out long hard) || !TryMemory(words[i + 2], units: true, out long soft)
                || !long.TryParse(words[i + 3], CultureInfo.InvariantCulture, out long seconds) || seconds < 0)
            {
                return "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
            }

            limits[row + 1] = hard.ToString(CultureInfo.InvariantCulture);
            limits[row + 2] = soft.ToString(CultureInfo.InvariantCulture);
            limits[row + 3] = seconds.ToString(CultureInfo.InvariantCulture);
        }

        normal = string.Join(' ', limits);
        return null;
    }

    private static string? CheckPercentiles(string text, out string normal)
    {
        string[] words = Words(text);
        normal = text;
        for (int i = 0; i < words.Length; i++)
        {
            if (!double.TryParse(words[i], NumberStyles.Float, CultureInfo.InvariantCulture, out double p) || double.IsNaN(p))
                return "Invalid latency-tracking-info-percentiles parameters";
            if (p is < 0 or > 100)
                return "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]";
            words[i] = p.ToString("0.######", CultureInfo.InvariantCulture);
        }

        normal = string.Join(' ', words);
        return null;
    }

    private static string[] Words(string text) => text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
}
