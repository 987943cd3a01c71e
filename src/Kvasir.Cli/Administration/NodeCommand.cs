using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Kvasir.Cli.CommandLine;

namespace Kvasir.Cli.Administration;

/// <summary><c>kvasir node</c>: the nodes of a cluster, and how they leave it.</summary>
internal static class NodeCommand
{
    public static Command Create() => new("node", "List, drain and decommission the nodes of a cluster.")
    {
        List(),
        Act("drain", "DRAIN", "Move leaders away from a node, so that it can be stopped. It keeps its copies; shards that have no other are named."),
        Act("decommission", "DECOMMISSION", "Take a node out of the cluster for good; its number is never given again."),
    };

    public static void WriteTable(ClusterSurvey survey)
    {
        TextTable table = new("node", "state", "resp", "peer", "http", "locality", "leads", "replicas");
        foreach (NodeFound found in survey.Nodes)
        {
            table.Add(found.Answer is null, found.Node.Id, found.Answer is null && found.Node.State == "active" ? "silent" : found.Node.State, found.Node.Resp, found.Node.Peer, found.Node.Http, found.Node.Locality,
                found.Answer is null ? null : Leads(survey, found), found.Answer?.Replicas.Count);
        }

        table.Write();
    }

    public static object Json(ClusterSurvey survey, NodeFound found) => new
    {
        node = found.Node.Id,
        state = found.Node.State,
        answers = found.Answer is not null,
        silence = found.Silence,
        resp = found.Node.Resp,
        peer = found.Node.Peer,
        http = found.Node.Http,
        locality = found.Node.Locality,
        leads = found.Answer is null ? (int?)null : Leads(survey, found),
        replicas = found.Answer?.Replicas.Count,
    };

    private static int Leads(ClusterSurvey survey, NodeFound found) =>
        found.Answer!.Replicas.Count(r => survey.LeaderOf(r.Group)?.Node.Id == found.Node.Id);

    private static Command List()
    {
        Command command = new("list", "List the nodes of the cluster.");
        ServerFlags flags = ServerFlags.AddTo(command);
        command.SetAction((result, _) =>
        {
            ClusterSurvey survey = flags.Survey(result);
            if (flags.Json(result))
                Console.WriteLine(JsonSerializer.Serialize(survey.Nodes.Select(n => Json(survey, n))));
            else
                WriteTable(survey);
            return Task.FromResult(ExitCode.Success);
        });
        return command;
    }

    private static Command Act(string name, string word, string description)
    {
        Argument<int> node = CommandFlag.Place("ID", "The node's number, as `kvasir node list` shows it.", 1);
        Command command = new(name, description) { node };
        ServerFlags flags = ServerFlags.AddTo(command);
        command.SetAction((result, _) =>
        {
            using NodeConnection connection = flags.Open(result);
            string id = result.GetValue(node).ToString(CultureInfo.InvariantCulture);
            AdminReply.WriteWithWarning(connection.Call("NODE", word, id), flags.Json(result));
            return Task.FromResult(ExitCode.Success);
        });
        return command;
    }
}
