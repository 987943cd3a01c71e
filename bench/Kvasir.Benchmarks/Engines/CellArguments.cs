using System.Globalization;

namespace Kvasir.Benchmarks.Engines;

/// <summary>Pairs of <c>--name value</c>.</summary>
internal sealed class CellArguments
{
    private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);

    public CellArguments(ReadOnlySpan<string> arguments)
    {
        for (int i = 0; i < arguments.Length; i += 2)
        {
            if (!arguments[i].StartsWith("--", StringComparison.Ordinal) || i + 1 == arguments.Length)
                throw new ArgumentException($"'{arguments[i]}' is no --name with a value");
            _values[arguments[i]] = arguments[i + 1];
        }
    }

    public string Text(string name, string? fallback = null) =>
        _values.TryGetValue(name, out string? value) ? value : fallback ?? throw new ArgumentException($"{name} is missing");

    public long Number(string name, long fallback) =>
        _values.TryGetValue(name, out string? value) ? long.Parse(value, CultureInfo.InvariantCulture) : fallback;
}
