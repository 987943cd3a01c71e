using System.CommandLine;
using System.Globalization;
using Kvasir.Cli.CommandLine;

namespace Kvasir.Cli.Administration;

/// <summary><c>kvasir leader transfer</c>: hands the lead of a shard to another of its voters.</summary>
internal static class LeaderCommand
{
    public static Command Create() => new("leader", "Move leadership.") { Transfer() };

    private static Command Transfer()
    {
        Argument<string> keyspace = new("KEYSPACE") { Description = "The keyspace, for instance db0." };
        Argument<int> shard = CommandFlag.Place("SHARD", "Its shard, from 0.");
        Argument<int> node = CommandFlag.Place("NODE", "The node that is to lead.", 1);
        Command command = new("transfer", "Hand the lead of a shard to another node that has a copy.") { keyspace, shard, node };
        ServerFlags flags = ServerFlags.AddTo(command);
        command.SetAction((result, _) =>
        {
            using NodeConnection connection = flags.Open(result);
            AdminReply.Write(
                connection.Call(
                    "LEADER", "TRANSFER", result.GetValue(keyspace)!,
                    result.GetValue(shard).ToString(CultureInfo.InvariantCulture), result.GetValue(node).ToString(CultureInfo.InvariantCulture)),
                flags.Json(result));
            return Task.FromResult(ExitCode.Success);
        });
        return command;
    }
}
