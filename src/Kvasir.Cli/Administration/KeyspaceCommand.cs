using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Kvasir.Cli.CommandLine;

namespace Kvasir.Cli.Administration;

/// <summary><c>kvasir keyspace</c>: what keyspaces there are, and what each promises.</summary>
internal static class KeyspaceCommand
{
    public static Command Create() => new("keyspace", "Create, list, show and drop keyspaces.")
    {
        Make(),
        ConvertCommand.Create(),
        List(),
        Show(),
        Drop(),
    };

    public static void WriteTable(ClusterSurvey survey, string? only)
    {
        TextTable table = new("keyspace", "engine", "partitioning", "shards", "replication", "promised", "copies", "leaderless", "durability");
        foreach (KeyspaceEntry keyspace in survey.First.Keyspaces.Where(k => only is null || k.Name == only))
        {
            (int? copies, int leaderless) = Health(survey, keyspace);
            table.Add(leaderless > 0 || copies < keyspace.Replicas, keyspace.Name, keyspace.Engines, keyspace.Partitioning, keyspace.Shards, keyspace.Replication,
                keyspace.Replicas, copies, leaderless, keyspace.Durability);
        }

        table.Write();
    }

    public static object Json(ClusterSurvey survey, KeyspaceEntry keyspace)
    {
        (int? copies, int leaderless) = Health(survey, keyspace);
        return new
        {
            name = keyspace.Name,
            engine = keyspace.Engine,
            partitioning = keyspace.Partitioning,
            shards = keyspace.Shards,
            replication = keyspace.Replication,
            replicas = keyspace.Replicas,
            durability = keyspace.Durability,
            moves_to = keyspace.MovesTo,
            copies,
            leaderless,
        };
    }

    /// <summary>Copies that the worst of the shards has; null when the keyspace has no shard of its own.</summary>
    private static (int? Copies, int Leaderless) Health(ClusterSurvey survey, KeyspaceEntry keyspace)
    {
        GroupEntry[] groups = [.. survey.GroupsOf(keyspace.Name)];
        return (groups.Length == 0 ? null : groups.Min(survey.CopiesOf), groups.Count(g => survey.LeaderOf(g.Id) is null));
    }

    private static Command Make()
    {
        Argument<string> name = new("NAME") { Description = "Of the new keyspace." };
        Option<string?> engine = CommandFlag.Text("--engine", "NAME", "Storage engine: lsm, log or btree.", "lsm");
        Option<string?> partitioning = CommandFlag.Text("--partitioning", "NAME", "How keys find their shard.", "static");
        Option<int> shards = CommandFlag.Number("--shards", "N", "Shards; a power of two, and 1 on a server that is alone.", 4, 1, 1024);
        Option<string?> replication = CommandFlag.Text("--replication", "NAME", "How copies agree.", "raft");
        Option<int> replicas = CommandFlag.Number("--replicas", "N", "Copies of each shard; 1 on a server that is alone.", 3, 1, 7);
        Option<string?> durability = CommandFlag.Text("--durability", "WORD", "When a write is answered: sync; on a server that is alone interval and none, too.", "sync");
        Command command = new("create", "Create a keyspace. A combination that makes no sense is refused with the reason.")
        {
            name, engine, partitioning, shards, replication, replicas, durability,
        };
        ServerFlags flags = ServerFlags.AddTo(command);
        command.SetAction((result, _) =>
        {
            using NodeConnection connection = flags.Open(result);
            List<string> words = ["KEYSPACE", "CREATE", result.GetValue(name)!];

            // The server knows what it has where nothing is said.
            foreach (Option option in new Option[] { engine, partitioning, shards, replication, replicas, durability })
            {
                if (result.GetResult(option) is { Implicit: false } given)
                    words.AddRange([option.Name.TrimStart('-'), given.Tokens[^1].Value]);
            }

            AdminReply.Write(connection.Call([.. words]), flags.Json(result));
            WarnOfLackingCopies(connection, result.GetValue(name)!, result.GetValue(replicas));
            return Task.FromResult(ExitCode.Success);
        });
        return command;
    }

    /// <summary>It is made all the same: nodes may come. Whoever counts on its copies should not learn it from a failure.</summary>
    private static void WarnOfLackingCopies(NodeConnection connection, string name, int replicas)
    {
        int nodes;
        try
        {
            nodes = NodeAnswer.From(connection.Call("STATUS")).Nodes.Count(static n => n.State is not ("decommissioned" or "down"));
        }
        catch (RefusedException)
        {
            // A server that is alone: it refuses what it cannot keep.
            return;
        }

        if (nodes > 0 && replicas > nodes)
        {
            Console.Error.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"warning: {name} promises {replicas} copies and the cluster has {Counted.Of(nodes, "node")}: {replicas - nodes} will be lacking until there are more"));
        }
    }

    private static Command List()
    {
        Command command = new("list", "List the keyspaces with what they promise and what they have.");
        ServerFlags flags = ServerFlags.AddTo(command);
        command.SetAction((result, _) =>
        {
            if (LoneKeyspaces.TryAsk(flags, result, out LoneKeyspaces? alone))
            {
                alone.Write(only: null, flags.Json(result));
                return Task.FromResult(ExitCode.Success);
            }

            ClusterSurvey survey = flags.Survey(result);
            if (flags.Json(result))
                Console.WriteLine(JsonSerializer.Serialize(survey.First.Keyspaces.Select(k => Json(survey, k))));
            else
                WriteTable(survey, only: null);
            return Task.FromResult(ExitCode.Success);
        });
        return command;
    }

    private static Command Show()
    {
        Argument<string> name = new("NAME") { Description = "Of the keyspace." };
        Command command = new("show", "Show one keyspace: its shards, their leaders and copies.") { name };
        ServerFlags flags = ServerFlags.AddTo(command);
        command.SetAction((result, _) =>
        {
            string wanted = result.GetValue(name)!;
            if (LoneKeyspaces.TryAsk(flags, result, out LoneKeyspaces? alone))
            {
                alone.Write(wanted, flags.Json(result));
                return Task.FromResult(ExitCode.Success);
            }

            ClusterSurvey survey = flags.Survey(result);
            KeyspaceEntry keyspace = survey.First.Keyspaces.FirstOrDefault(k => k.Name == wanted) ?? throw new RefusedException($"there is no keyspace {wanted}");
            if (flags.Json(result))
            {
                Console.WriteLine(JsonSerializer.Serialize(new
                {
                    keyspace = Json(survey, keyspace),
                    shards = survey.GroupsOf(wanted).Select(g => new { shard = g.Shard, group = g.Id, epoch = g.Epoch, leader = survey.LeaderOf(g.Id)?.Node.Id, copies = survey.CopiesOf(g), wanted = g.Replicas }),
                }));
                return Task.FromResult(ExitCode.Success);
            }

            WriteTable(survey, wanted);
            Console.WriteLine();
            StatusCommand.WriteReplicas(survey, wanted);
            return Task.FromResult(ExitCode.Success);
        });
        return command;
    }

    private static Command Drop()
    {
        Argument<string> name = new("NAME") { Description = "Of the keyspace." };
        Option<bool> yes = CommandFlag.Switch("--yes", "Yes, all that is in it may be lost for good.");
        Command command = new("drop", "Remove a keyspace with all that is in it.") { name, yes };
        ServerFlags flags = ServerFlags.AddTo(command);
        command.SetAction((result, _) =>
        {
            if (!result.GetValue(yes))
                throw new UsageException($"drop loses all that is in {result.GetValue(name)}: say --yes if that is meant");
            using NodeConnection connection = flags.Open(result);
            AdminReply.Write(connection.Call("KEYSPACE", "DROP", result.GetValue(name)!), flags.Json(result));
            return Task.FromResult(ExitCode.Success);
        });
        return command;
    }
}
