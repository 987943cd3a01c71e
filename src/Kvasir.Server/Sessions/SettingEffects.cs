using Kvasir.Server.Settings;
using Kvasir.Storage.Engines;

namespace Kvasir.Server.Sessions;

/// <summary>What a parameter's value does here, where it does something.</summary>
internal static class SettingEffects
{
    public static void ApplyAll(ServerState server)
    {
        foreach (Setting setting in SettingTable.Rows)
            Apply(server, setting.Name);
    }

    public static void Apply(ServerState server, string name)
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
                break;
            case "min-replicas-to-write":
            case "min-replicas-max-lag":
                server.LacksReplicas = settings.Number("min-replicas-to-write") > 0 && settings.Number("min-replicas-max-lag") > 0;
                break;
            case "maxclients":
                server.Limits.ClientsMax = (int)Math.Min(settings.Number(name), int.MaxValue);
                break;
            case "timeout":
                server.Limits.IdleSeconds = (int)settings.Number(name);
                break;
            case "client-output-buffer-limit":
                string[] words = settings[name].Split(' ');
                server.Limits.PubSubOutputMax = long.Parse(words[9], System.Globalization.CultureInfo.InvariantCulture);
                server.Limits.NormalOutputMax = long.Parse(words[1], System.Globalization.CultureInfo.InvariantCulture);
                break;
            case "client-query-buffer-limit":
                server.Limits.InputMax = settings.Number(name);
                break;
        }
    }
}
