using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// Copies a node's data by hard links into a folder that opens as a node of its own. The identity comes last: without it
/// the folder is an unfinished copy, and refused.
/// </summary>
internal static class NodeCheckpoint
{
    public static void Write(KvasirNode node, IFileSystem files, string folder)
    {
        if (files.FolderExists(folder))
            throw new StorageException($"{folder} exists; a checkpoint wants a new folder");

        while (true)
        {
            // One item for all keyspaces: the copy is of one moment. A reload in between throws away what is in memory.
            using CutItem cut = new(node);
            node.Mailbox.Post(cut);
            cut.Wait();
            if (node.TryCopy(cut.Moment, () => FolderTree.Build(files, folder, () => Copy(node, cut.Moment, files, folder))))
                return;
        }
    }

    private static void Copy(KvasirNode node, CheckpointMoment moment, IFileSystem files, string folder)
    {
        files.CreateFolder(folder + "/" + KvasirNode.KeyspacesFolder);
        foreach ((KeyspaceEntry entry, EngineCheckpoint engine) in moment.Engines)
            engine.WriteTo(KeyspaceFolders.PathOf(folder, entry));
        files.SyncFolder(folder + "/" + KvasirNode.KeyspacesFolder);
        bool hasTable = node.HasKeyspaceTable;
        if (hasTable)
            KeyspaceTableFile.Write(files, folder, moment.Table);
        IdentityFile.Write(files, folder, new NodeIdentity(node.Identity, HasJournal: false, moment.Databases, JournalId: 0, HasUnsynced: false)
        {
            HasKeyspaceTable = hasTable,
        });
    }

    private sealed class CutItem(KvasirNode node) : IMailboxItem, IDisposable
    {
        private volatile bool _done;
        private StorageException? _refused;

        private CheckpointMoment? _moment;

        public CheckpointMoment Moment
        {
            get
            {
                Check.That(_moment is not null);
                return _moment;
            }
        }

        public void Run(Execution execution)
        {
            try
            {
                _moment = node.BeginCheckpoint();
            }
            catch (StorageException refused)
            {
                _refused = refused;
            }

            _done = true;
        }

        // The mailbox runs the item now, or within the turn that is under way.
        public void Wait()
        {
            SpinWait spin = default;
            while (!_done)
                spin.SpinOnce();
            if (_refused is not null)
                throw new WritesStoppedException(_refused.Message, _refused);
        }

        public void Dispose() => _moment?.Dispose();
    }
}
