using Kvasir.Wire.Resp;

namespace Kvasir.Server.Sessions;

/// <content>
/// A keyspace that this node has not heard of may be there: the node joins just now, or somebody made it on another node a moment ago. A
/// client takes "there is no such keyspace" for final, so that is said only when all is known that was there when the command came.
/// </content>
internal sealed partial class CommandRouter
{
    private const string DirectorySilent = "CLUSTERDOWN this node has not heard of such a keyspace, and does not hear from the directory at the moment";

    private Direction DirectSelect(CommandContext context)
    {
        RespSession session = context.Session;
        long nowMs = _server.Clock.NowMs;
        if (session.WaitsSinceMs == 0)
            session.WaitsSinceMs = nowMs;
        long waitedMs = nowMs - session.WaitsSinceMs;
        if (RespRequestParser.TryNumber(context.Argument(1), out _) || _node.Router.FindDatabase(context.Argument(1)) >= 0
            || IsKnownSince(waitedMs))
        {
            session.WaitsSinceMs = 0;
            return Direction.Runs;
        }

        if (waitedMs < (long)Patience.TotalMilliseconds)
        {
            Suspend(session);
            return Direction.Waits;
        }

        session.WaitsSinceMs = 0;
        context.Reply.Error(DirectorySilent);
        return Direction.Refused;
    }

    // The clock's milliseconds have gone on by up to one more than the time has.
    private bool IsKnownSince(long agoMs) =>
        _node.Router.KeyspacesAge is var age && (age == TimeSpan.Zero || age <= TimeSpan.FromMilliseconds(agoMs - 1));
}
