using Kvasir.Cluster.Replicas;
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
            // One item for all flushes: the copy is of one moment, across databases. A reload in between throws away what
            // was being flushed.
            CutItem cut = new(node);
            node.Mailbox.Post(cut);
            cut.Wait();
            if (node.TryCopy(cut.Generation, () => Copy(node, files, folder)))
                return;
        }
    }

    private static void Copy(KvasirNode node, IFileSystem files, string folder)
    {
        foreach (Replica replica in node.Replicas)
            replica.Engine.WaitForFlush();

        files.CreateFolder(folder);
        string keyspaces = folder + "/" + KvasirNode.KeyspacesFolder;
        files.CreateFolder(keyspaces);
        foreach (Replica replica in node.Replicas)
            replica.Engine.Checkpoint(keyspaces + "/" + replica.Options.Name);
        files.SyncFolder(keyspaces);
        IdentityFile.Write(files, folder, new NodeIdentity(node.Identity, HasJournal: false, node.DatabaseCount, JournalId: 0, HasUnsynced: false));
    }

    private sealed class CutItem(KvasirNode node) : IMailboxItem
    {
        private volatile bool _done;

        public int Generation { get; private set; }

        public void Run(Execution execution)
        {
            Generation = node.FlushAll();
            _done = true;
        }

        // The mailbox runs the item now, or within the turn that is under way.
        public void Wait()
        {
            SpinWait spin = default;
            while (!_done)
                spin.SpinOnce();
        }
    }
}
