using System.Globalization;

namespace Kvasir.Cli.Administration;

/// <summary>What a cluster does not keep of what it promises, one sentence each.</summary>
internal static class ClusterWarnings
{
    public const long IndexPercentNear = 80;

    // Where a node is away all keyspaces say the same.
    private const int NamesMax = 3;

    public static IReadOnlyList<string> Of(ClusterSurvey survey) => Of(survey, LagLimits.Usual);

    public static IReadOnlyList<string> Of(ClusterSurvey survey, LagLimits limits)
    {
        List<string> warnings = [.. survey.First.Problems];
        if (survey.Nodes.Count == 0)
            warnings.Add("the node that was asked knows nothing of its cluster yet: it has not joined one, or hears nobody who does");
        else if (survey.First.DirectoryLeader == 0)
            warnings.Add("nobody leads the directory: nothing about the cluster can be changed, and this may be out of date");
        foreach (NodeFound found in survey.Nodes)
        {
            if (found.Answer is null && found.Node.State is not "decommissioned")
                warnings.Add(Text($"node {found.Node.Id} at {found.Node.Resp ?? "-"} does not answer: {found.Silence}"));
            else if (found.Answer is { } answer && survey.First.Cluster is not null && answer.Cluster != survey.First.Cluster)
                warnings.Add(Text($"node {found.Node.Id} at {found.Node.Resp ?? "-"} says that it is of another cluster, {answer.Cluster ?? "-"}"));
            foreach (IGrouping<string, ReplicaEntry> sick in (found.Answer?.Replicas ?? []).Where(r => r.Disk is not (null or "ok"))
                .GroupBy(r => r.Disk!, StringComparer.Ordinal).OrderBy(g => g.Key, StringComparer.Ordinal))
                warnings.Add(Text($"the disk of node {found.Node.Id}: {sick.Key}"));
            foreach (ReplicaEntry replica in (found.Answer?.Replicas ?? []).Where(r => r.IndexPercent >= IndexPercentNear))
            {
                GroupEntry? shard = survey.First.Groups.FirstOrDefault(g => g.Id == replica.Group);
                warnings.Add(Text($"the keys of {shard?.Keyspace ?? "?"}, shard {shard?.Shard ?? -1}, on node {found.Node.Id} take {replica.IndexPercent} % of the memory that they may take: at 100 % new ones are refused"));
            }
        }

        SortedDictionary<string, List<string>> tooFew = new(StringComparer.Ordinal);
        foreach (KeyspaceEntry keyspace in survey.First.Keyspaces)
        {
            GroupEntry[] groups = [.. survey.GroupsOf(keyspace.Name)];
            int without = groups.Count(g => survey.LeaderOf(g.Id) is null);
            if (without > 0)
                warnings.Add(Text($"{keyspace.Name}: {without} of {groups.Length} shards have no leader and take no writes"));
            int least = groups.Where(g => survey.LeaderOf(g.Id) is not null).Select(survey.CopiesOf).DefaultIfEmpty(int.MaxValue).Min();
            if (keyspace.Replicas is { } promised && least < promised)
            {
                string promise = Text($"promises {promised} copies and a shard of it has {least}");
                if (!tooFew.TryGetValue(promise, out List<string>? names))
                    tooFew[promise] = names = [];
                names.Add(keyspace.Name);
            }
        }

        foreach ((string promise, List<string> names) in tooFew)
        {
            if (names.Count <= NamesMax)
                warnings.AddRange(names.Select(name => $"{name} {promise}"));
            else
                warnings.Add(Text($"each of {names.Count} keyspaces {promise}: {string.Join(", ", names.Take(NamesMax))} ..."));
        }

        warnings.AddRange(LaggingCopies.Warnings(survey, limits));
        return warnings;
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
