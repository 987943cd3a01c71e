using System.CommandLine;
using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Shell;

namespace Kvasir.Cli.Administration;

/// <summary>The keyspaces of a server that is alone: it has all of each, and nobody else is to be asked.</summary>
internal sealed class LoneKeyspaces
{
    private readonly IReadOnlyList<KeyspaceEntry> _keyspaces;

    private LoneKeyspaces(IReadOnlyList<KeyspaceEntry> keyspaces) => _keyspaces = keyspaces;

    /// <summary>False where a node of a cluster answers.</summary>
    public static bool TryAsk(ServerFlags flags, ParseResult result, [NotNullWhen(true)] out LoneKeyspaces? alone)
    {
        alone = null;
        using NodeConnection connection = flags.Open(result);
        RespReply reply = connection.Call("KEYSPACE", "LIST");
        KeyspaceEntry[] keyspaces = [.. reply.Items.Select(static k => KeyspaceEntry.From(new ReplyFields(k)))];

        // Copies agree with nobody here; a cluster always says how they do.
        if (keyspaces.Any(static k => k.Replication is not "none") || keyspaces.Length == 0)
            return false;
        alone = new LoneKeyspaces(keyspaces);
        return true;
    }

    public void Write(string? only, bool json)
    {
        KeyspaceEntry[] shown = [.. _keyspaces.Where(k => only is null || k.Name == only)];
        if (shown.Length == 0)
            throw new RefusedException($"there is no keyspace {only}");
        if (json)
        {
            Console.WriteLine(only is null ? JsonSerializer.Serialize(shown.Select(Json)) : JsonSerializer.Serialize(Json(shown[0])));
            return;
        }

        TextTable table = new("keyspace", "engine", "durability", "index %");
        foreach (KeyspaceEntry keyspace in shown)
            table.Add(keyspace.IndexPercent >= ClusterWarnings.IndexPercentNear, keyspace.Name, keyspace.Engine, keyspace.Durability, keyspace.IndexPercent);
        table.Write();
    }

    private static object Json(KeyspaceEntry keyspace) =>
        new { name = keyspace.Name, engine = keyspace.Engine, durability = keyspace.Durability, indexPercent = keyspace.IndexPercent };
}
