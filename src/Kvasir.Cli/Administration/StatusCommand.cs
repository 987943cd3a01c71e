using System.CommandLine;
using System.Text.Json;
using Kvasir.Cli.CommandLine;
using Kvasir.Primitives;

namespace Kvasir.Cli.Administration;

/// <summary><c>kvasir status</c>: the cluster as its nodes see it. Exit code 1 when it keeps less than it promises, or copies lag.</summary>
internal static class StatusCommand
{
    public static Command Create()
    {
        Option<bool> replicas = CommandFlag.Switch("--replicas", "Show every replica: role, term, lag, lease, disk, snapshot.");
        Option<string?> keyspace = CommandFlag.Text("--keyspace", "NAME", "Show only this keyspace and its replicas.");
        Option<long> entries = CommandFlag.Count("--lag-entries", "N", "Warn of a copy that lacks more entries than this, for longer than --lag-ms.", LagLimits.Usual.Entries);
        Option<int> mebibytes = CommandFlag.Number("--lag-mib", "MIB", "Or more than this, of the entries that the leader's log still has.", (int)(LagLimits.Usual.Bytes >> 20));
        Option<int> milliseconds = CommandFlag.Number(
            "--lag-ms", "MS", "Warn of no copy that lags for less; five times as long, and of one that lacks any entry.", (int)LagLimits.Usual.Milliseconds);
        Command command = new(
            "status",
            "Show the nodes, keyspaces and replicas of a cluster. Exit code 1 when anything has fewer copies than promised, copies that lag or need a snapshot, or no leader.")
        {
            replicas, keyspace, entries, mebibytes, milliseconds,
        };
        ServerFlags flags = ServerFlags.AddTo(command);
        command.SetAction((result, _) =>
        {
            ClusterSurvey survey = flags.Survey(result);
            string? only = result.GetValue(keyspace);
            if (only is not null && survey.First.Keyspaces.All(k => k.Name != only))
                throw new RefusedException($"there is no keyspace {only}");
            LagLimits limits = new(result.GetValue(entries), (long)result.GetValue(mebibytes) << 20, result.GetValue(milliseconds));
            IReadOnlyList<string> warnings = ClusterWarnings.Of(survey, limits);
            if (flags.Json(result))
                WriteJson(survey, warnings);
            else
                WriteText(survey, warnings, only, result.GetValue(replicas) || only is not null);
            return Task.FromResult(warnings.Count == 0 ? ExitCode.Success : ExitCode.Negative);
        });
        return command;
    }

    /// <summary>The table of one keyspace's replicas, or of all.</summary>
    public static void WriteReplicas(ClusterSurvey survey, string? only)
    {
        TextTable table = new("keyspace", "shard", "group", "node", "role", "term", "commit", "applied", "lag", "bytes", "ms", "lease", "disk", "snapshot");
        foreach (GroupEntry group in survey.First.Groups.Where(g => only is null || g.Keyspace == only)
            .OrderBy(g => g.Keyspace, NaturalOrder.Instance).ThenBy(g => g.Shard))
        {
            foreach (NodeFound found in survey.Nodes)
            {
                ReplicaEntry? replica = found.Answer?.Replicas.FirstOrDefault(r => r.Group == group.Id);
                CopyLag lag = survey.LagOf(group.Id, found.Node.Id, replica);
                string? snapshot = survey.SnapshotOf(group.Id, found.Node.Id, replica) is { } needed ? LaggingCopies.Progress(needed) : null;
                if (replica is not null)
                {
                    table.Add(replica.Disk is not (null or "ok") || snapshot is not null, group.Keyspace, group.Shard, group.Id, found.Node.Id, replica.Role, replica.Term, replica.CommitIndex,
                        replica.AppliedIndex, lag.Entries, lag.Bytes, lag.Milliseconds, replica.HasLease, replica.Disk, snapshot);
                }
                else if (group.Replicas.Contains(found.Node.Id))
                {
                    table.Add(isLoud: true, group.Keyspace, group.Shard, group.Id, found.Node.Id, found.Answer is null ? "silent" : "missing", null, null, null, lag.Entries, lag.Bytes, lag.Milliseconds, null, null, snapshot);
                }
            }
        }

        table.Write();
    }

    private static void WriteText(ClusterSurvey survey, IReadOnlyList<string> warnings, string? only, bool replicas)
    {
        // Those that have left are listed, since their numbers stand in logs; they are nodes of the cluster no more.
        int nodes = survey.Nodes.Count(static n => n.Node.State is not "decommissioned");
        Console.WriteLine($"cluster {survey.First.Cluster ?? "-"}: {Counted.Of(nodes, "node")}, {Counted.Of(survey.First.Groups.Count, "group")}; "
            + $"the directory is led by {(survey.First.DirectoryLeader == 0 ? "nobody" : $"node {survey.First.DirectoryLeader}")}");
        foreach (string warning in warnings)
            Console.WriteLine("WARNING: " + warning);
        Console.WriteLine();
        if (only is null)
        {
            NodeCommand.WriteTable(survey);
            Console.WriteLine();
        }

        KeyspaceCommand.WriteTable(survey, only);
        if (!replicas)
            return;
        Console.WriteLine();
        WriteReplicas(survey, only);
    }

    private static void WriteJson(ClusterSurvey survey, IReadOnlyList<string> warnings) => Console.WriteLine(JsonSerializer.Serialize(new
    {
        cluster = survey.First.Cluster,
        directoryLeader = survey.First.DirectoryLeader,
        warnings,
        nodes = survey.Nodes.Select(n => NodeCommand.Json(survey, n)),
        keyspaces = survey.First.Keyspaces.Select(k => KeyspaceCommand.Json(survey, k)),
        groups = survey.First.Groups.Select(g => new
        {
            group = g.Id,
            keyspace = g.Keyspace,
            shard = g.Shard,
            epoch = g.Epoch,
            leader = survey.LeaderOf(g.Id)?.Node.Id,
            copies = survey.CopiesOf(g),
            wanted = g.Replicas,
            replicas = survey.Nodes.SelectMany(n => (n.Answer?.Replicas ?? []).Where(r => r.Group == g.Id).Select(r => Json(survey, n.Node.Id, r))),
        }),
    }));

    private static object Json(ClusterSurvey survey, long node, ReplicaEntry replica)
    {
        CopyLag lag = survey.LagOf(replica.Group, node, replica);
        return new
        {
            node,
            role = replica.Role,
            term = replica.Term,
            commit = replica.CommitIndex,
            applied = replica.AppliedIndex,
            lagEntries = lag.Entries,
            lagBytes = lag.Bytes,
            lagMs = lag.Milliseconds,
            lease = replica.HasLease,
            disk = replica.Disk,
            snapshot = survey.SnapshotOf(replica.Group, node, replica) is { } snapshot ? new { stage = snapshot.Stage, bytes = snapshot.Bytes, total = snapshot.Total } : null,
            snapshotFailure = replica.SnapshotFailure,
        };
    }
}
