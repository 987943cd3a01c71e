namespace Kvasir.Server.Commands;

/// <summary>CLIENT.</summary>
internal static class ClientCommands
{
    /// <summary>Printable, without spaces.</summary>
    public static bool IsName(ReadOnlySpan<byte> name) => name.IndexOfAnyExceptInRange((byte)'!', (byte)'~') < 0;
}
