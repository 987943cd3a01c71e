using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;

namespace Kvasir.Primitives;

/// <summary>
/// Assertions that stay on in production. A database that finds one of its invariants broken stops and says which,
/// rather than go on and serve wrong data. A check that passes formats nothing and allocates nothing.
/// </summary>
public static class Check
{
    /// <summary>Throws <see cref="InvariantViolationException"/> unless <paramref name="condition"/> holds.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void That(
        [DoesNotReturnIf(false)] bool condition,
        [CallerArgumentExpression(nameof(condition))] string? expression = null)
    {
        if (!condition)
            Fail(expression ?? "invariant");
    }

    /// <summary>As the other overload, with a message that is only formatted when the check fails.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void That(
        [DoesNotReturnIf(false)] bool condition,
        [InterpolatedStringHandlerArgument(nameof(condition))] ref CheckMessage message)
    {
        if (!condition)
            Fail(message.ToString());
    }

    /// <summary>Reports a broken invariant unconditionally.</summary>
    [DoesNotReturn]
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void Fail(string message) => throw new InvariantViolationException(message);
}

/// <summary>Formats the message of a failed check, and nothing at all for one that passes.</summary>
[InterpolatedStringHandler]
public ref struct CheckMessage
{
    private DefaultInterpolatedStringHandler _inner;

    public CheckMessage(int literalLength, int formattedCount, bool condition, out bool isEnabled)
    {
        isEnabled = !condition;
        if (isEnabled)
            _inner = new DefaultInterpolatedStringHandler(literalLength, formattedCount);
    }

    public void AppendLiteral(string value) => _inner.AppendLiteral(value);

    public void AppendFormatted<T>(T value) => _inner.AppendFormatted(value);

    public void AppendFormatted<T>(T value, string? format) => _inner.AppendFormatted(value, format);

    public override string ToString() => _inner.ToStringAndClear();
}

/// <summary>An invariant of the database does not hold: a defect, never a user's mistake.</summary>
public sealed class InvariantViolationException : Exception
{
    public InvariantViolationException() { }

    public InvariantViolationException(string message) : base("invariant violated: " + message) { }

    public InvariantViolationException(string message, Exception inner) : base("invariant violated: " + message, inner) { }
}
