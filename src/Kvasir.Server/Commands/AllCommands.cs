using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands;

/// <summary>Every family. A new one is its own file and one line here.</summary>
internal static class AllCommands
{
    public static IEnumerable<CommandDefinition> List =>
    [
        .. ConnectionCommands.All,
        .. ClientCommands.All,
        .. AclCommands.All,
        .. ServerCommands.All,
        .. ReplicationCommands.All,
        .. ModuleCommands.All,
        .. ConfigCommands.All,
        .. CommandCommands.All,
        .. SlowLogCommands.All,
        .. LatencyCommands.All,
        .. MemoryCommands.All,
        .. DebugCommands.All,
        .. ClusterCommands.All,
        .. AdministrationCommands.All,
        .. ScriptingCommands.All,
        .. TransactionCommands.All,
        .. PubSubCommands.All,
        .. DataCommands.All,
    ];
}
