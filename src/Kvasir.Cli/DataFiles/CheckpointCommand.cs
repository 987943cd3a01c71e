using System.CommandLine;
using System.Text.Json;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Hosting;
using Kvasir.Cluster.Nodes;
using Kvasir.Storage.Files;

namespace Kvasir.Cli.DataFiles;

/// <summary><c>kvasir checkpoint DIR TARGET</c>: an openable copy of a stopped server's data, by hard links.</summary>
internal static class CheckpointCommand
{
    public static Command Create()
    {
        Argument<string> folder = CommandFlag.Path<string>("DIR", "The data folder of a server that does not run; a running one makes its own with SAVE or BGSAVE.");
        Argument<string> target = CommandFlag.Path<string>("TO", "The folder to make, on the same disk.");
        Option<bool> json = CommandFlag.Json();
        var command = new Command("checkpoint", "Copy a data folder by hard links: takes moments, and opens as a data folder of its own.")
        {
            folder, target, json,
        };
        command.SetAction((result, _) => Task.FromResult(
            Run(Path.GetFullPath(result.GetValue(folder)!), Path.GetFullPath(result.GetValue(target)!), result.GetValue(json))));
        return command;
    }

    private static int Run(string folder, string target, bool json)
    {
        using var world = new MachineWorld();
        if (!world.Files.FileExists(NodeInspector.IdentityPath(folder)))
            throw new UsageException($"{folder} is no data folder of a server: it has no {Path.GetFileName(NodeInspector.IdentityPath(folder))}");
        if (world.Files.FolderExists(target) || world.Files.FileExists(target))
            throw new UsageException($"{target} exists; a checkpoint wants a new folder");
        if (target.StartsWith(Path.TrimEndingDirectorySeparator(folder) + Path.DirectorySeparatorChar, StringComparison.Ordinal))
            throw new UsageException($"{target} lies inside {folder}; a checkpoint wants a folder of its own");
        if (ClusterInspector.IsOfCluster(world.Files, folder))
            throw new UsageException($"{folder} is a node's of a cluster: a second one with its number must never start; the copies of its data are the other nodes'");
        int databases = NodeInspector.CountDatabases(world.Files, folder);
        if (databases == 0)
            throw new UsageException($"{folder} has no databases yet: its first start was not completed");
        try
        {
            using KvasirNode node = KvasirNode.Open(new NodeOptions { Folder = folder, DatabaseCount = databases }, world.Environment);
            node.Checkpoint(target);
        }
        catch (FolderInUseException e)
        {
            throw new UsageException($"a server has {folder} open; let it make the checkpoint itself: kvasir shell SAVE", e);
        }
        catch (OtherFileSystemException e)
        {
            throw new UsageException($"{target} lies on another file system than {folder}, where hard links do not reach: make the checkpoint beside it and copy that", e);
        }

        Console.Out.WriteLine(json
            ? $"{{\"checkpoint\":\"{JsonEncodedText.Encode(target)}\",\"databases\":{databases}}}"
            : $"{target} is a copy of {folder}; start it with: kvasir server --data {target}");
        return ExitCode.Success;
    }
}
