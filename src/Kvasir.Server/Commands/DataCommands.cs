using Kvasir.Server.Commands.Bitmaps;
using Kvasir.Server.Commands.Generic;
using Kvasir.Server.Commands.Strings;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands;

/// <summary>The families of commands on data. A new family is its own file and one line here.</summary>
internal static class DataCommands
{
    public static IEnumerable<CommandDefinition> All =>
    [
        .. BitmapCommands.All,
        .. GenericCommands.All,
        .. StringCommands.All,
    ];
}
