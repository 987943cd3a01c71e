namespace Kvasir.Server.Sessions;

/// <summary>One client's connection as the commands see it.</summary>
internal sealed class RespSession
{
    /// <summary>The database that SELECT chose.</summary>
    public int DatabaseIndex { get; set; }
}
