using System.Globalization;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Journal;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Nodes;

/// <summary>What is in the folder of a node of a cluster: for tools that look without opening it.</summary>
public static class ClusterInspector
{
    public static string MembershipPath(string folder) => folder + "/" + ClusterFile.Name;

    public static string PeersPath(string folder) => folder + "/" + PeersFile.Name;

    public static bool IsOfCluster(IFileSystem files, string folder) => files.FileExists(MembershipPath(folder));

    /// <summary>The membership file's one part; throws where it is damaged.</summary>
    public static InspectedPart InspectMembership(IFileSystem files, string path)
    {
        ClusterMembership membership = ClusterFile.Read(files, path);
        return new InspectedPart(0, files.FileLength(path), "membership",
        [
            new("cluster", membership.Cluster.ToString("x16", CultureInfo.InvariantCulture)),
            new("node", membership.Node.ToString()),
            new("founded it", membership.IsFounder ? "yes" : "no"),
        ]);
    }

    /// <summary>Where the other nodes were last.</summary>
    public static InspectedPart InspectPeers(IFileSystem files, string path) => new(
        0, files.FileLength(path), "peers",
        [.. PeersFile.Read(files, path[..path.LastIndexOf('/')])
            .Select(static p => new KeyValuePair<string, string>("node " + p.Node, p.PeerAddress))]);

    /// <summary>
    /// What a start would refuse of the journal, and replicas whose files hold less than they did before it let go of that, but for
    /// those that are stopped already. <paramref name="replicas"/>: the folders that the groups in it need, as far as it could be read.
    /// </summary>
    /// <param name="flushedOf">Up to where the files in the folder of a replica hold its log.</param>
    public static IReadOnlyList<JournalFinding> VerifyJournal(
        IFileSystem files, string folder, Func<string, LogPosition> flushedOf, out IReadOnlyList<string> replicas)
    {
        string journal = NodeInspector.JournalFolder(folder);
        NodeIdentity identity = IdentityFile.Read(files, NodeInspector.IdentityPath(folder));
        var replay = new GroupsReplay(journal);
        List<JournalFinding> findings = [.. JournalVerifier.Verify(
            files, journal, new JournalOptions { MustExist = identity.HasJournal, JournalId = identity.JournalId }, replay.Record)];
        List<string> needed = [];
        replicas = needed;
        if (findings.Count > 0)
            return findings;
        try
        {
            // Whose they are does not matter for what is there.
            var folders = new ReplicaFolders(files, folder + "/" + ClusterNode.ReplicasFolder, static (path, _) => throw new StorageException($"{path} is not opened"));
            foreach ((GroupId group, RaftRecovery recovery) in replay.ToRecoveries(new NodeId(1)))
            {
                string replica = folders.Locate(group, recovery.SnapshotIndex);
                needed.Add(replica);
                if (files.FolderExists(replica) && !folders.IsDamaged(replica) && folders.ReadStopped(replica) is null
                    && replay[group].Engine.Missing(folders.SnapshotOf(replica), flushedOf(replica)) is { } missing)
                    findings.Add(new JournalFinding(replica, 0, missing));
            }
        }
        catch (CorruptionException e)
        {
            findings.Add(new JournalFinding(e.Path ?? journal, e.Offset, e.Message));
        }

        return findings;
    }

    /// <summary>All folders of replicas that are there, those too that a snapshot has replaced or was to fill.</summary>
    public static IReadOnlyList<string> ListReplicas(IFileSystem files, string folder)
    {
        string root = folder + "/" + ClusterNode.ReplicasFolder;
        return files.FolderExists(root) ? [.. files.ListFolders(root).Where(static n => n != ReplicaFolders.OutgoingFolder).Order(StringComparer.Ordinal).Select(n => root + "/" + n)] : [];
    }

    /// <summary>The sections of a record of such a journal, at that place of its file.</summary>
    public static IReadOnlyList<InspectedPart> Sections(long offset, ReadOnlySpan<byte> payload, bool entries)
    {
        List<InspectedPart> parts = [];
        var reader = new JournalPayloadReader(payload);
        while (reader.MoveNext())
        {
            if (reader.Bytes.IsEmpty)
                break;
            var fields = new List<KeyValuePair<string, string>> { new("group", Text(reader.StreamId)) };
            var kind = (SectionKind)reader.Bytes[0];
            ReadOnlySpan<byte> content = reader.Bytes[1..];
            List<InspectedPart> inside = [];
            switch (kind)
            {
                case SectionKind.Descriptor or SectionKind.Reset when LogDescriptor.TryRead(content, out LogDescriptor log):
                    fields.Add(new("term", log.HardState.Term.ToString()));
                    fields.Add(new("vote", log.HardState.Vote.ToString()));
                    fields.Add(new("begins behind", log.BaseIndex.ToString()));
                    fields.Add(new("of term", log.BaseTerm.ToString()));
                    fields.Add(new("ends at", log.LastIndex.ToString()));
                    fields.Add(new("configuration", log.Configuration.Configuration.ToString()));
                    break;
                case SectionKind.Entries:
                    Entries(offset, content, fields, entries ? inside : null);
                    break;
                case SectionKind.HardState or SectionKind.Removal or SectionKind.Truncation:
                    var numbers = new SectionNumbers(content);
                    bool isCut = kind == SectionKind.Truncation;
                    if (numbers.TryNext(out ulong first))
                        fields.Add(new(isCut ? "from" : "term", Text(first)));
                    if (!isCut && numbers.TryNext(out ulong vote))
                        fields.Add(new("vote", Text(vote)));
                    break;
                case SectionKind.Engine when EngineMark.TryRead(content, out EngineMark engine):
                    fields.Add(new("snapshot", engine.Snapshot.ToString()));
                    fields.Add(new("flushed", engine.Flushed.ToString()));
                    break;
                case SectionKind.Generation:
                    var ofWhom = new SectionNumbers(content);
                    if (ofWhom.TryNext(out ulong generation))
                        fields.Add(new("number", Text(generation)));
                    break;
                default:
                    fields.Add(new("content", "makes no sense"));
                    break;
            }

            parts.Add(new InspectedPart(offset, reader.Bytes.Length, kind == SectionKind.HardState ? "term and vote" : kind.ToString().ToLowerInvariant(), fields));
            parts.AddRange(inside);
        }

        if (reader.Malformed)
            parts.Add(new InspectedPart(offset, 0, "rest", [new("content", "no list of sections")]));
        return parts;
    }

    private static void Entries(long offset, ReadOnlySpan<byte> content, List<KeyValuePair<string, string>> fields, List<InspectedPart>? inside)
    {
        var reader = new EntriesReader(content);
        long bytes = 0;
        while (reader.MoveNext())
        {
            bytes += reader.Bytes.Length;
            inside?.Add(new InspectedPart(offset, reader.Bytes.Length, "entry",
            [
                new("index", reader.Index.ToString()),
                new("term", reader.Term.ToString()),
                new("kind", reader.Kind.ToString().ToLowerInvariant()),
            ]));
        }

        fields.Add(new("from", reader.First.ToString()));
        fields.Add(new("to", reader.Index.ToString()));
        fields.Add(new("last term", reader.Term.ToString()));
        fields.Add(new("bytes", Text((ulong)bytes)));
        if (reader.Malformed)
            fields.Add(new("content", "makes no sense behind these"));
    }

    private static string Text(ulong number) => number.ToString(CultureInfo.InvariantCulture);
}
