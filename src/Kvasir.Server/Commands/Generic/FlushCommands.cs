using Kvasir.Server.Settings;
using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Commands.Generic;

/// <summary>Commands on whole databases.</summary>
internal static class FlushCommands
{
    public static void FlushDb(CommandContext context)
    {
        if (!AcceptsMode(context))
            return;
        Flush(context, context.DatabaseIndex);
        context.Server.Events.FlushedAll();
        context.Reply.Ok();
    }

    public static void FlushAll(CommandContext context)
    {
        if (!AcceptsMode(context))
            return;
        for (int i = 0; i < context.Node.DatabaseCount; i++)
        {
            if (context.Routed is not null || !context.Node.ReplicasOf(i).IsEmpty)
                Flush(context, i);
        }

        context.Server.Events.FlushedAll();
        context.Reply.Ok();
    }

    /// <summary>While expired keys are kept from deletion, they count, as in Redis; else they are gone the moment they expire.</summary>
    public static void DbSize(CommandContext context)
    {
        bool keepsExpired = !context.Server.ActiveExpire || context.Server.Pause.IsActive(context.NowMs);
        context.Reply.Integer(keepsExpired
            ? context.Database.Census.CountStored(context.Execution)
            : context.Database.Census.Count(context.Execution, context.NowMs).Keys);
    }

    public static void SwapDb(CommandContext context)
    {
        if (!NumberText.TryInt32Argument(context, 1, out int first, "ERR invalid first DB index")
            || !NumberText.TryInt32Argument(context, 2, out int second, "ERR invalid second DB index"))
        {
            return;
        }

        // Those that have names keep them.
        int numbered = context.Node.Alone?.NumberedDatabases ?? context.Node.DatabaseCount;
        if ((uint)first >= (uint)numbered || (uint)second >= (uint)numbered)
        {
            context.Reply.Error("ERR DB index is out of range");
            return;
        }

        if (first != second)
        {
            context.Node.Alone!.SwapDatabases(context.Execution, first, second);
            context.Server.Events.Swapped(first, second);
        }

        context.Reply.Ok();
    }

    private static void Flush(CommandContext context, int database)
    {
        context.Execution.DeleteRange(context.ReplicaOf(database), [], []);
        context.Server.Events.Flushed(database);
    }

    public static bool AcceptsMode(CommandContext context)
    {
        if (context.ArgumentCount == 1 || (context.ArgumentCount == 2
            && (OptionWords.Is(context.Argument(1), "async"u8) || OptionWords.Is(context.Argument(1), "sync"u8))))
        {
            return true;
        }

        context.Reply.Error("ERR syntax error");
        return false;
    }
}
