using System.Globalization;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Server.Settings;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Server.Sessions;

/// <summary>What a parameter's value does here, where it does something.</summary>
internal static class SettingEffects
{
    public static void ApplyAll(ServerState server)
    {
        foreach (Setting setting in SettingTable.Rows)
            Apply(server, setting.Name);
    }

    /// <summary>Null, or why it cannot be so; then its effect is what it was.</summary>
    public static string? Apply(ServerState server, string name)
    {
        ServerSettings settings = server.Settings;
        switch (name)
        {
            case "requirepass":
                server.Password = settings[name].Length == 0 ? null : settings[name];
                break;
            case "slowlog-log-slower-than":
                server.SlowLog.ThresholdMicroseconds = settings.Number(name);
                break;
            case "slowlog-max-len":
                server.SlowLog.LengthMax = (int)Math.Min(settings.Number(name), int.MaxValue);
                server.SlowLog.Trim();
                break;
            case "latency-monitor-threshold":
                server.Latency.ThresholdMs = settings.Number(name);
                break;
            case "proto-max-bulk-len":
                server.RequestLimits.BulkBytesMax = settings.Number(name);
                break;
            case "notify-keyspace-events":
                _ = KeyEventFlags.TryParse(settings[name], out KeyEventClass flags);
                server.Events.Wanted = flags;
                break;
            case "maxmemory":
                server.IsMemoryTooSmall = settings.Number(name) is > 0 and < MemoryBudget.MinimumBytes;
                goto case "maxmemory-clients";
            case "maxmemory-clients":
                server.ClientMemory.SetLimit(ClientMemory.LimitOf(settings["maxmemory-clients"], settings.Number("maxmemory")));
                break;
            case "min-replicas-to-write":
            case "min-replicas-max-lag":
                server.LacksReplicas = settings.Number("min-replicas-to-write") > 0 && settings.Number("min-replicas-max-lag") > 0;
                break;
            case "maxmemory-policy":
                server.Use.SetPolicy(settings[name]);
                break;
            case "lfu-log-factor":
                server.Use.LogFactor = settings.Number(name);
                break;
            case "lfu-decay-time":
                server.Use.DecayMinutes = settings.Number(name);
                break;
            case "tracking-table-max-keys":
                server.Tracking.KeysMax = settings.Number(name);
                break;
            case "maxclients":
                server.Limits.ClientsMax = (int)Math.Min(settings.Number(name), server.Limits.ClientsCeiling);
                break;
            case "timeout":
                server.Limits.IdleSeconds = (int)settings.Number(name);
                break;
            case "client-output-buffer-limit":
                string[] words = settings[name].Split(' ');
                server.Limits.NormalOutput = OutputLimit(words.AsSpan(1, 3));
                server.Limits.SubscriberOutput = OutputLimit(words.AsSpan(9, 3));
                break;
            case "client-query-buffer-limit":
                server.Limits.InputMax = settings.Number(name);
                break;
            case "appendfsync":
                Durability durability = settings[name] switch { "always" => Durability.Sync, "everysec" => Durability.Interval, _ => Durability.None };
                if (server.Node.Alone is { } alone)
                    return TrySetDurability(alone, durability);
                else if (durability != server.Node.Durability)
                    return "the keyspaces of a cluster have a durability each";
                break;
            case "tls-cert-file":
            case "tls-key-file":
            case "tls-ca-cert-file":
                return ReplaceCertificates(server);
            case "port" when server.Endpoints is { } endpoints:
                return endpoints.Listen(settings["bind"], (int)settings.Number("port")) ? null : "Unable to listen on this port. Check server logs.";
            case "bind" when server.Endpoints is { } endpoints:
                return endpoints.Listen(settings["bind"], (int)settings.Number("port")) ? null : "Failed to bind to specified addresses.";
        }

        return null;
    }

    /// <summary>On a full disk, or without its folder, the node cannot write down that it promises less.</summary>
    private static string? TrySetDurability(ILoneNode node, Durability durability)
    {
        try
        {
            node.SetDurability(durability);
            return null;
        }
        catch (StorageException e)
        {
            return e.Message;
        }
    }

    private static string? ReplaceCertificates(ServerState server)
    {
        ServerSettings settings = server.Settings;
        if (server.Certificates is not { } certificates)
            return "Unable to update TLS configuration: this server does not serve TLS";
        string authority = settings["tls-ca-cert-file"];
        string? objection = certificates.Replace(
            new TlsFiles(settings["tls-cert-file"], settings["tls-key-file"], authority.Length == 0 ? null : authority));
        return objection is null ? null : "Unable to update TLS configuration: " + objection;
    }

    private static OutputLimit OutputLimit(ReadOnlySpan<string> words) => new(
        long.Parse(words[0], CultureInfo.InvariantCulture),
        long.Parse(words[1], CultureInfo.InvariantCulture),
        long.Parse(words[2], CultureInfo.InvariantCulture) * 1000);
}
