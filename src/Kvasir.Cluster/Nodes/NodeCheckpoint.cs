using Kvasir.Cluster.Replicas;
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
            if (node.TryCopy(cut.Generation, () => FolderTree.Build(files, folder, () => Copy(node, cut, files, folder))))
                return;
        }
    }

    private static void Copy(KvasirNode node, CutItem cut, IFileSystem files, string folder)
    {
        string keyspaces = folder + "/" + KvasirNode.KeyspacesFolder;
        files.CreateFolder(keyspaces);
        for (int i = 0; i < node.Replicas.Count; i++)
            cut.Moments[i].WriteTo(keyspaces + "/" + node.Replicas[i].Options.Name);
        files.SyncFolder(keyspaces);
        IdentityFile.Write(files, folder, new NodeIdentity(node.Identity, HasJournal: false, node.DatabaseCount, JournalId: 0, HasUnsynced: false));
    }

    private sealed class CutItem(KvasirNode node) : IMailboxItem, IDisposable
    {
        private volatile bool _done;
        private StorageException? _refused;

        /// <summary>One for each replica.</summary>
        public List<EngineCheckpoint> Moments { get; } = [];

        public int Generation { get; private set; }

        public void Run(Execution execution)
        {
            try
            {
                Generation = node.BeginCheckpoint(Moments);
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

        public void Dispose()
        {
            foreach (EngineCheckpoint moment in Moments)
                moment.Dispose();
        }
    }
}
