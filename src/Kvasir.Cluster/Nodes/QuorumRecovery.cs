using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Journal;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// Makes a cluster of one out of the folder of a node whose cluster lost the majority of its nodes for good: every group
/// that has a copy here goes on with this copy alone. What the others had acknowledged and this copy does not have is lost,
/// and what its log holds beyond that is committed; the choice is the operator's.
/// <para>
/// Each log gets one more entry, a configuration with this copy as its only voter, in a term of its own: Raft uses a
/// configuration as soon as it is in the log, so the copy elects itself and commits all that is before it. The folder gets the
/// number of a new cluster, so that nodes of the old one, should any come back, are strangers and disturb nobody.
/// </para>
/// For a folder that no node has open.
/// </summary>
public sealed class QuorumRecovery : IDisposable
{
    private readonly IFileSystem _files;
    private readonly string _folder;
    private readonly ClusterMembership _membership;
    private readonly IDisposable _lock;
    private readonly GroupJournal _journal;
    private ulong _writes;

    private QuorumRecovery(IFileSystem files, string folder, ClusterMembership membership, IDisposable folderLock, GroupJournal journal)
    {
        (_files, _folder, _membership, _lock, _journal) = (files, folder, membership, folderLock, journal);
        var folders = new ReplicaFolders(files, folder + "/" + ClusterNode.ReplicasFolder, static (path, _) => throw new StorageException($"{path} is not opened"));
        Copies = [.. journal.Recovered
            .Where(r => !journal.IsRemoved(r.Key))
            .Select(r => CopyOf(r.Key, r.Value, IsStopped(folders, r.Key, r.Value)))];
    }

    /// <summary>The node that the folder is.</summary>
    public ulong Node => _membership.Node.Value;

    /// <summary>What lies here of each group, in the order of their numbers.</summary>
    public IReadOnlyList<RecoverableCopy> Copies { get; }

    /// <summary>
    /// Opens the folder of a cluster's node. Throws <see cref="StorageException"/>s that say what is wrong, among them
    /// <see cref="FolderInUseException"/>.
    /// </summary>
    public static QuorumRecovery Open(string folder, in NodeEnvironment environment)
    {
        IFileSystem files = environment.Files;
        if (!files.FileExists(folder + "/" + ClusterFile.Name))
            throw new StorageException($"{folder} is not the folder of a cluster's node: it has no {ClusterFile.Name}");
        IDisposable folderLock = files.Lock(NodeInspector.LockPath(folder));
        try
        {
            ClusterMembership membership = ClusterFile.Find(files, folder)!.Value;
            NodeIdentity identity = IdentityFile.Read(files, NodeInspector.IdentityPath(folder));
            var options = new JournalOptions { MustExist = true, JournalId = identity.JournalId };
            GroupJournal journal = GroupJournal.Open(
                files, environment.Scheduler, NodeInspector.JournalFolder(folder), options, membership.Node, static _ => { }, static (_, _) => { });
            return new QuorumRecovery(files, folder, membership, folderLock, journal);
        }
        catch
        {
            folderLock.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Writes it. Durable when it returns; may be done again when it was interrupted. <paramref name="newCluster"/> is drawn by the
    /// caller, and not 0.
    /// </summary>
    public void Commit(ulong newCluster)
    {
        Check.That(newCluster != 0);
        foreach (RecoverableCopy copy in Copies)
        {
            if (copy.CanGoOn && !copy.IsAlone)
                Append(copy.Id, _journal.Recovered[copy.Id]);
        }

        LogPosition last = _journal.Write();
        _journal.SyncInline();
        if (_journal.DurablePosition < last)
            throw new StorageException($"{_folder}: the journal could not be written; nothing was changed that a later try would not do again");
        ClusterFile.Write(_files, _folder, _membership with { Cluster = newCluster });
        PeersFile.Write(_files, _folder, []);
    }

    public void Dispose()
    {
        _journal.Dispose();
        _lock.Dispose();
    }

    private static bool IsStopped(ReplicaFolders folders, GroupId id, RaftRecovery recovery)
    {
        try
        {
            string folder = folders.Locate(id, recovery.SnapshotIndex);
            return folders.IsDamaged(folder) || folders.ReadStopped(folder) is not null;
        }
        catch (StorageException)
        {
            // The marks themselves cannot be read: that is no reason not to go on with the other copies.
            return true;
        }
    }

    private static RecoverableCopy CopyOf(GroupId id, RaftRecovery recovery, bool isStopped)
    {
        Configuration configuration = recovery.Configurations.Count == 0 ? Configuration.Empty : recovery.Configurations[^1].Configuration;
        return new RecoverableCopy(
            id, recovery.LastIndex.Value, recovery.HardState.Term.Value, CanGoOn: configuration.Voters.Length > 0,
            IsVoter: configuration.IsVoter(recovery.Id), IsLeaving: !configuration.Voters.Contains(recovery.Id) && !configuration.IsLearner(recovery.Id),
            IsAlone: configuration.IsSoleVoter(recovery.Id), isStopped, configuration.ToString());
    }

    private void Append(GroupId group, RaftRecovery recovery)
    {
        var term = new Term(recovery.HardState.Term.Value + 1);
        LogIndex index = recovery.LastIndex.Next;
        _journal.Add(
            group,
            new PersistRequest
            {
                Write = new WriteNumber(++_writes),
                HardState = new HardState(term, recovery.Id),
                HardStateChanged = true,
                First = index,
                Last = index,
            },
            new SoleVoterEntry(term, recovery.Id));
    }

    private sealed class SoleVoterEntry : IEntryBytes
    {
        private readonly Term _term;
        private readonly byte[] _bytes;

        public SoleVoterEntry(Term term, MemberId self)
        {
            var configuration = new Configuration([self]);
            _term = term;
            _bytes = new byte[ConfigurationCodec.Length(configuration)];
            ConfigurationCodec.Write(_bytes, configuration);
        }

        public EntryKind KindOf(LogIndex index) => EntryKind.Configuration;

        public Term TermOf(LogIndex index) => _term;

        public ReadOnlySpan<byte> BytesOf(LogIndex index) => _bytes;
    }
}

/// <summary>What a folder holds of one group.</summary>
/// <param name="Id">The group.</param>
/// <param name="LastIndex">Entries of its log, from the first that ever was.</param>
/// <param name="Term">The last one that it knows of.</param>
/// <param name="CanGoOn">False: it was never told who its group is, and has nothing.</param>
/// <param name="IsVoter">False: it was being brought up, and may lack much.</param>
/// <param name="IsLeaving">
/// The others were about to go on without it, and may have done so: it is not told when, and lacks what was written since.
/// </param>
/// <param name="IsAlone">It is the only voter already.</param>
/// <param name="IsStopped">It was found before that its files are damaged, or that it came to something else than its leader: no node opens it.</param>
/// <param name="Members">Who its group is, as far as it knows.</param>
public sealed record RecoverableCopy(
    GroupId Id, ulong LastIndex, ulong Term, bool CanGoOn, bool IsVoter, bool IsLeaving, bool IsAlone, bool IsStopped, string Members);
