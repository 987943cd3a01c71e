using System.Globalization;

namespace Kvasir.Simulation.Histories;

/// <summary>A history that cannot be read, or that no clients can have had; the message names the line.</summary>
public sealed class HistoryFormatException : Exception
{
    public HistoryFormatException() { }

    public HistoryFormatException(string message) : base(message) { }

    public HistoryFormatException(string message, Exception inner) : base(message, inner) { }

    public HistoryFormatException(int line, string message)
        : base(string.Create(CultureInfo.InvariantCulture, $"line {line}: {message}")) => Line = line;

    /// <summary>From one; zero when the whole is meant.</summary>
    public int Line { get; }
}
