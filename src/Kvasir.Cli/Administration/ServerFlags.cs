using System.CommandLine;
using Kvasir.Cli.CommandLine;

namespace Kvasir.Cli.Administration;

/// <summary>Which node is asked, and how; the same for all commands that run the cluster.</summary>
internal sealed class ServerFlags
{
    private readonly Option<string?> _host = CommandFlag.Text("--host", "HOST", "A node of the cluster, any.", "127.0.0.1");
    private readonly Option<int> _port = CommandFlag.Number("--port", "PORT", "Its RESP port.", 6379, 1, 65535);
    private readonly Option<string?> _password = CommandFlag.Text("--password", "P", "Password; better in KVASIR_PASSWORD.");
    private readonly Option<int> _seconds = CommandFlag.Number("--patience", "SECONDS", "How long to wait for an answer.", 10, 1, 3600);
    private readonly Option<bool> _json = CommandFlag.Json();

    private ServerFlags() => _port.Aliases.Add("-p");

    public static ServerFlags AddTo(Command command)
    {
        ServerFlags flags = new();
        foreach (Option option in new Option[] { flags._host, flags._port, flags._password, flags._seconds, flags._json })
            command.Options.Add(option);
        return flags;
    }

    public bool Json(ParseResult result) => result.GetValue(_json);

    public HostPort Address(ParseResult result) => new(result.GetValue(_host)!, result.GetValue(_port));

    public string? Password(ParseResult result) => result.GetValue(_password) ?? Environment.GetEnvironmentVariable("KVASIR_PASSWORD");

    public TimeSpan Patience(ParseResult result) => TimeSpan.FromSeconds(result.GetValue(_seconds));

    public NodeConnection Open(ParseResult result) => NodeConnection.Open(Address(result), Password(result), Patience(result));

    public ClusterSurvey Survey(ParseResult result) => ClusterSurvey.Ask(Address(result), Password(result), Patience(result));
}
