using System.Globalization;
using Kvasir.Cli.CommandLine;

namespace Kvasir.Cli.Administration;

/// <summary>Copies on nodes that answer, and that lack what their shards would need if another node were lost now.</summary>
internal static class LaggingCopies
{
    // Of which it is asked whether a shard could lose a node.
    private const int VotersMin = 3;

    // Of bytes, where mebibytes are told.
    private const long WorthTelling = 100_000;

    public static IEnumerable<string> Warnings(ClusterSurvey survey, LagLimits limits)
    {
        SortedDictionary<long, OfNode> nodes = [];
        int exposed = 0;
        foreach (GroupEntry group in survey.First.Groups)
        {
            // Without a leader that is said, and nobody knows what there is to lack.
            if (survey.LeaderOf(group.Id) is not { } leader)
                continue;
            int level = 0, lagging = 0;
            foreach (long voter in leader.Replica.Voters)
            {
                ReplicaEntry? copy = survey.Nodes.FirstOrDefault(n => n.Node.Id == voter)?.Answer?.Replicas.FirstOrDefault(r => r.Group == group.Id);
                if (copy is null)
                    continue;
                CopyLag lag = survey.LagOf(group.Id, voter, copy);
                SnapshotEntry? snapshot = survey.SnapshotOf(group.Id, voter, copy);
                if (snapshot is null && !limits.Exceeds(lag))
                {
                    level++;
                    continue;
                }

                lagging++;
                if (!nodes.TryGetValue(voter, out OfNode? node))
                    nodes[voter] = node = new OfNode(voter);
                node.Add(lag, snapshot, copy.SnapshotFailure);
            }

            int voters = leader.Replica.Voters.Count;
            exposed += lagging > 0 && voters >= VotersMin && level - 1 < (voters / 2) + 1 ? 1 : 0;
        }

        foreach (OfNode node in nodes.Values)
        {
            foreach (string sentence in node.Sentences())
                yield return sentence;
        }

        if (exposed > 0)
            yield return Text($"were another node lost now, {Counted.Of(exposed, "shard")} would stand still until copies have caught up: wait for them before you stop one");
    }

    public static string Progress(SnapshotEntry snapshot) => snapshot switch
    {
        { Bytes: { } bytes, Total: >= WorthTelling and { } total } => Text($"{snapshot.Stage} {Mebibytes(bytes)} of {Mebibytes(total)} MiB"),
        { Bytes: >= WorthTelling and { } bytes } => Text($"{snapshot.Stage} {Mebibytes(bytes)} MiB"),
        _ => snapshot.Stage,
    };

    private static string Mebibytes(long bytes) => Text($"{bytes / (double)(1 << 20):0.0}");

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    private sealed class OfNode(long id)
    {
        private readonly SortedSet<string> _failures = new(StringComparer.Ordinal);
        private int _behind;
        private int _sent;
        private int _refused;
        private bool _isUnseen;
        private long _entries;
        private long _milliseconds;
        private long _bytesSent;
        private long _bytesKnown;

        public void Add(in CopyLag lag, SnapshotEntry? snapshot, string? failure)
        {
            if (snapshot is { IsRefused: true })
            {
                _refused++;
                if (failure is not null)
                    _failures.Add(failure);
            }
            else if (snapshot is not null)
            {
                _sent++;
                _bytesSent += snapshot.Bytes ?? 0;
                _bytesKnown += snapshot.Total ?? 0;
            }
            else
            {
                _behind++;
                _isUnseen |= lag.IsUnseen;
                _entries = Math.Max(_entries, lag.Entries ?? 0);
                _milliseconds = Math.Max(_milliseconds, lag.Milliseconds ?? 0);
            }
        }

        public IEnumerable<string> Sentences()
        {
            if (_refused > 0)
            {
                yield return Text($"node {id} does not take the snapshots that {Copies(_refused)} there {Need(_refused)}, and is tried again")
                    + (_failures.Count == 0 ? "" : ": " + string.Join("; ", _failures));
            }

            if (_sent > 0)
            {
                yield return Text($"{Copies(_sent)} on node {id} {Need(_sent)} a snapshot, under way")
                    + (_bytesKnown >= WorthTelling ? Text($": {Mebibytes(_bytesSent)} of {Mebibytes(_bytesKnown)} MiB so far")
                        : _bytesSent >= WorthTelling ? Text($": {Mebibytes(_bytesSent)} MiB so far") : "");
            }

            if (_behind > 0)
            {
                yield return Text($"{Copies(_behind)} on node {id} {(_behind == 1 ? "is" : "are")} behind")
                    + (_isUnseen ? ", and leaders hear nothing of it there" : Text($" by up to {Entries(_entries)}"))
                    + (_milliseconds > 0 ? Text($", {_milliseconds / 1000.0:0.0} s") : "");
            }
        }

        private static string Copies(int count) => count == 1 ? "1 copy" : Text($"{count:N0} copies");

        private static string Need(int count) => count == 1 ? "needs" : "need";

        private static string Entries(long count) => count == 1 ? "1 entry" : Text($"{count:N0} entries");
    }
}
