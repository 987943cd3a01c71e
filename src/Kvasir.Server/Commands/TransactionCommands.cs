using Kvasir.Primitives;
using Kvasir.Server.Sessions;
using Kvasir.Storage.Engines;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>MULTI, EXEC, DISCARD, WATCH, UNWATCH.</summary>
internal static class TransactionCommands
{
    private const CommandFlags Basic = CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale;

    public static IEnumerable<CommandDefinition> All =>
    [
        new() { Name = "multi", Arity = 1, Flags = Basic | CommandFlags.Fast | CommandFlags.AllowBusy, Handler = Multi, Group = "transactions" },
        new() { Name = "exec", Arity = 1, Flags = Basic | CommandFlags.SkipSlowlog, Handler = Exec, Group = "transactions" },
        new() { Name = "discard", Arity = 1, Flags = Basic | CommandFlags.Fast | CommandFlags.AllowBusy, Handler = Discard, Group = "transactions" },
        new() { Name = "watch", Arity = -2, Flags = Basic | CommandFlags.Fast | CommandFlags.AllowBusy, Handler = Watch, FirstKey = 1, LastKey = -1, KeyStep = 1, Group = "transactions" },
        new() { Name = "unwatch", Arity = 1, Flags = Basic | CommandFlags.Fast | CommandFlags.AllowBusy, Handler = Unwatch, Group = "transactions" },
    ];

    private static void Multi(CommandContext context)
    {
        if (context.Session.Transaction.IsOpen)
        {
            context.Reply.Error("ERR MULTI calls can not be nested");
            return;
        }

        context.Session.Transaction.Begin();
        context.Reply.Ok();
    }

    private static void Discard(CommandContext context)
    {
        if (!context.Session.Transaction.IsOpen)
        {
            context.Reply.Error("ERR DISCARD without MULTI");
            return;
        }

        context.Session.Transaction.End();
        context.Server.Watches.RemoveAll(context.Session);
        context.Reply.Ok();
    }

    private static void Watch(CommandContext context)
    {
        TransactionState transaction = context.Session.Transaction;
        if (transaction.IsOpen)
        {
            context.Reply.Error("ERR WATCH inside MULTI is not allowed");
            return;
        }

        if (!transaction.WatchBroken)
        {
            for (int i = 1; i < context.ArgumentCount; i++)
            {
                EntryInfo info = context.Execution.Get(context.Database, context.Argument(i), value: null);
                context.Server.Watches.Add(
                    context.Session, context.DatabaseIndex, context.Argument(i).ToArray(), info.Found, info.Found ? info.ExpiresAtMs : 0);
            }
        }

        context.Reply.Ok();
    }

    private static void Unwatch(CommandContext context)
    {
        context.Server.Watches.RemoveAll(context.Session);
        context.Reply.Ok();
    }

    private static void Exec(CommandContext context)
    {
        RespSession session = context.Session;
        TransactionState transaction = session.Transaction;
        if (!transaction.IsOpen)
        {
            context.Reply.Error("ERR EXEC without MULTI");
            return;
        }

        bool hasErrors = transaction.HasErrors;
        bool hasWrites = transaction.HasWrites;
        bool deniedOnOom = transaction.HasDenyOom;
        bool broken = transaction.WatchBroken || HasExpiredWatch(context);
        context.Server.Watches.RemoveAll(session);
        QueuedCommand[] commands = transaction.Take();
        if (hasErrors)
        {
            context.Reply.Error("EXECABORT Transaction discarded because of previous errors.");
            return;
        }

        if (broken)
        {
            context.Reply.NullArray();
            return;
        }

        string? denied = deniedOnOom && context.Server.IsMemoryTooSmall ? CommandDispatcher.OutOfMemory
            : hasWrites && context.Server.LacksReplicas ? CommandDispatcher.NoReplicas
            : null;
        if (denied is not null)
        {
            context.Reply.Error("EXECABORT Transaction discarded because of: " + denied);
            return;
        }

        if (hasWrites && context.Database.Log.Refusal is { } refusal)
        {
            context.Reply.Error("EXECABORT Transaction discarded because of: " + refusal.Code + " " + refusal.Message);
            return;
        }

        RunAll(context, commands);
    }

    private static void RunAll(CommandContext context, QueuedCommand[] commands)
    {
        TransactionState transaction = context.Session.Transaction;
        CommandEntry exec = context.Entry;
        SavedArguments execArguments = context.SaveArguments();
        transaction.IsExecuting = true;
        try
        {
            context.Reply.ArrayHeader(commands.Length);
            foreach (QueuedCommand command in commands)
            {
                context.Entry = command.Command;
                context.SetArguments(command.Bytes, 0, command.Arguments, command.Arguments.Length);
                context.Server.Dispatcher.Call(context, command.Command);
            }
        }
        finally
        {
            transaction.IsExecuting = false;
            context.Entry = exec;
            context.RestoreArguments(execArguments);
        }
    }

    private static bool HasExpiredWatch(CommandContext context)
    {
        foreach (WatchedKey watched in context.Session.Transaction.Watched)
        {
            if (watched.ExpiresAtMs != 0 && watched.ExpiresAtMs <= context.NowMs)
                return true;
        }

        return false;
    }
}
