using System.CommandLine;
using System.Globalization;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Hosting;
using Kvasir.Cluster.Nodes;
using Kvasir.Storage.Files;

namespace Kvasir.Cli.DataFiles;

/// <summary><c>kvasir recover DIR</c>: a cluster that lost its majority for good goes on with one node.</summary>
internal static class RecoverCommand
{
    public static Command Create()
    {
        Argument<string> folder = CommandFlag.Path<string>("DIR", "The data folder of the node that is to go on. It must not run.");
        Option<bool> yes = CommandFlag.Switch("--yes", "Yes: the other nodes are lost for good, and so may be what only they had.");
        var command = new Command(
            "recover",
            "Last resort: a cluster that lost the majority of its nodes for good goes on as a new one with this node alone. Without --yes it only shows what is there. docs/operations.md has the whole recipe.")
        {
            folder, yes,
        };
        command.SetAction((result, _) => Task.FromResult(Run(Path.GetFullPath(result.GetValue(folder)!), result.GetValue(yes))));
        return command;
    }

    private static int Run(string folder, bool yes)
    {
        using var world = new MachineWorld();
        try
        {
            using QuorumRecovery recovery = QuorumRecovery.Open(folder, world.Environment);
            Show(recovery);
            if (!yes)
            {
                Console.Out.WriteLine("Nothing was changed. Compare with the other folders that are left: the one with the most entries lost least.");
                Console.Out.WriteLine("To go on with this one, and lose what only the others had, say --yes.");
                return ExitCode.Success;
            }

            recovery.Commit((ulong)Random.Shared.NextInt64() | 1);
        }
        catch (FolderInUseException e)
        {
            throw new UsageException($"a server has {folder} open; stop it first", e);
        }

        Console.Out.WriteLine($"{folder} is a cluster of one now, with another number: nodes of the old one are strangers to it.");
        Console.Out.WriteLine("Start it without --join, start new nodes with empty folders and --join, then `kvasir node decommission` each lost one.");
        return ExitCode.Success;
    }

    private static void Show(QuorumRecovery recovery)
    {
        Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"node {recovery.Node}"));
        ulong entries = 0;
        foreach (RecoverableCopy copy in recovery.Copies)
        {
            string state = !copy.CanGoOn ? "empty: cannot go on, its shard is lost"
                : copy.IsStopped ? "stopped: damaged, or unlike its leader's; its shard is lost"
                : copy.IsAlone ? "goes on alone already"
                : copy.IsLeaving ? "was being moved to another node: lacks what was written since"
                : copy.IsVoter ? "" : "was being brought up: may lack much";
            Console.Out.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"  group {copy.Id,-6} {copy.LastIndex,14:N0} entries  term {copy.Term,-6} {copy.Members}  {state}").TrimEnd());
            entries += copy.LastIndex;
        }

        Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{recovery.Copies.Count} groups, {entries:N0} entries"));
    }
}
