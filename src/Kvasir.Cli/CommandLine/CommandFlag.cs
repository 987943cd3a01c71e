using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Net;

namespace Kvasir.Cli.CommandLine;

/// <summary>
/// Makes options whose errors name the flag, what it wants and what it got: System.CommandLine's own name .NET types.
/// </summary>
internal static class CommandFlag
{
    public static Option<string?> Text(string name, string placeholder, string description, string? fallback = null) =>
        Make(name, placeholder, description, (string?)fallback, "a text", text => (text.Length > 0, text));

    public static Option<bool> Switch(string name, string description) => new(name) { Description = description };

    public static Option<bool> Json() => Switch("--json", "Print one JSON document for scripts.");

    public static Option<int> Number(
        string name, string placeholder, string description, int fallback, int min = 1, int max = int.MaxValue)
    {
        string wanted = max == int.MaxValue ? $"a whole number, {min} or more" : $"a whole number from {min} to {max}";
        return Make(name, placeholder, description, fallback, wanted, text =>
            (int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value)
                && value >= min && value <= max, value));
    }

    /// <summary>A count that people write as 5M or 200k (powers of ten).</summary>
    public static Option<long> Count(string name, string placeholder, string description, long fallback, long min = 1) =>
        Make(name, placeholder, description, fallback, $"a number, {min} or more (5000000, 5M, 200k)", text =>
            (TryCount(text, out long value) && value >= min, value));

    public static Option<double> Decimal(string name, string placeholder, string description, double fallback, double min, double max)
    {
        string wanted = string.Create(CultureInfo.InvariantCulture, $"a number from {min} to {max}");
        return Make(name, placeholder, description, fallback, wanted, text =>
            (double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value) && value >= min && value <= max, value));
    }

    public static Option<int> Port(string name, string description, int fallback) =>
        Number(name, "PORT", description, fallback, 0, 65535);

    public static Option<string> OneOf(string name, string description, string fallback, params string[] choices) =>
        Make(name, string.Join('|', choices), description, fallback, $"one of {string.Join(", ", choices)}", text =>
            (Array.IndexOf(choices, text) >= 0, text));

    /// <summary>HOST:PORT, PORT alone for loopback; brackets around an IPv6 address.</summary>
    public static Option<HostPort?> Address(string name, string description, HostPort? fallback = null) =>
        Make(name, "HOST:PORT", description, fallback, "HOST:PORT, for instance 127.0.0.1:6379", text =>
            (HostPort.TryParse(text, out HostPort? value), value));

    /// <summary>A whole number that stands by its place instead of a name.</summary>
    public static Argument<int> Place(string name, string description, int min = 0) => new(name)
    {
        Description = description,
        CustomParser = result =>
        {
            string text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
            if (!int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) || value < min)
                result.AddError($"{name} is a whole number, {min} or more, not '{text}'");
            return value;
        },
    };

    /// <summary>Paths that stand by their place: one, or several where <typeparamref name="T"/> is an array.</summary>
    public static Argument<T> Path<T>(string name, string description)
    {
        var argument = new Argument<T>(name) { Description = description };
        argument.Validators.Add(result =>
        {
            // A variable of a script that was not set; to the platform it would be a defect of ours.
            if (result.Tokens.Any(static token => token.Value.Length == 0))
                result.AddError($"{name} wants a path, not ''");
        });
        return argument;
    }

    private static Option<T> Make<T>(
        string name, string placeholder, string description, T fallback, string wanted, Func<string, (bool Ok, T Value)> parse)
    {
        return new Option<T>(name)
        {
            HelpName = placeholder,
            Description = description,
            Arity = ArgumentArity.ExactlyOne,
            DefaultValueFactory = _ => fallback,
            CustomParser = result =>
            {
                string text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
                (bool ok, T value) = parse(text);
                if (!ok)
                    result.AddError($"{name} wants {wanted}, not '{text}'");
                return value;
            },
        };
    }

    private static bool TryCount(string text, out long value)
    {
        long unit = text.Length == 0 ? 1 : char.ToUpperInvariant(text[^1]) switch
        {
            'K' => 1_000,
            'M' => 1_000_000,
            'G' => 1_000_000_000,
            _ => 1,
        };
        string digits = unit == 1 ? text : text[..^1];
        value = 0;
        if (!long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out long number)
            || number > long.MaxValue / unit)
            return false;
        value = number * unit;
        return true;
    }
}

/// <summary>Where something listens, or should.</summary>
internal sealed record HostPort(string Host, int Port)
{
    public static bool TryParse(string text, out HostPort? value)
    {
        value = null;
        int colon = text.LastIndexOf(':');
        string host = colon < 0 ? "127.0.0.1" : text[..colon];
        if (host.StartsWith('[') && host.EndsWith(']'))
            host = host[1..^1];
        else if (host.Contains(':', StringComparison.Ordinal))
            return false;
        if (host.Length == 0
            || !int.TryParse(text[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out int port)
            || port > 65535)
            return false;
        value = new HostPort(host, port);
        return true;
    }

    /// <summary>The addresses that the host stands for; never empty.</summary>
    public IPAddress[] Resolve()
    {
        if (IPAddress.TryParse(Host, out IPAddress? literal))
            return [literal];
        if (Host is "*")
            return [IPAddress.IPv6Any];
        try
        {
            IPAddress[] found = Dns.GetHostAddresses(Host);
            return found.Length > 0 ? found : throw new UsageException($"the host '{Host}' has no address");
        }
        catch (Exception e) when (e is System.Net.Sockets.SocketException or ArgumentOutOfRangeException)
        {
            throw new UsageException($"the host '{Host}' cannot be resolved: {e.Message}", e);
        }
    }

    public override string ToString() => Host.Contains(':', StringComparison.Ordinal) ? $"[{Host}]:{Port}" : $"{Host}:{Port}";
}
