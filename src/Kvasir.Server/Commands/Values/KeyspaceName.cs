namespace Kvasir.Server.Commands.Values;

/// <summary>What is said of a name that is no keyspace's.</summary>
internal static class KeyspaceName
{
    public const string Unknown = "ERR there is no such keyspace: see KEYSPACE LIST";

    /// <summary>Where a database's number may stand, too: what can be no name, a number that is too long perhaps, is answered as Redis does.</summary>
    public static string UnknownDatabase(ReadOnlySpan<byte> name) =>
        name is [var first, ..] && char.IsAsciiLetter((char)first) ? Unknown : NumberText.NotAnInteger;
}
