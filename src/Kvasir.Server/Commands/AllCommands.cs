namespace Kvasir.Server.Commands;

/// <summary>Every family. A new one is its own file and one line here.</summary>
internal static class AllCommands
{
    public static IEnumerable<CommandDefinition> List =>
    [
        .. ConnectionCommands.All,
        .. TransactionCommands.All,
        .. PubSubCommands.All,
        .. DataCommands.All,
    ];
}
