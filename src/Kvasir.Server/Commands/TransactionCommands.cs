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
        new() { Name = "multi", Arity = 1, Flags = Basic | CommandFlags.Fast | CommandFlags.AllowBusy, Handler = Multi, Group = "transactions", Summary = "Mark the start of a transaction block", Since = "1.2.0" },
        new() { Name = "exec", Arity = 1, Flags = Basic | CommandFlags.SkipSlowlog, Handler = Exec, Group = "transactions", Summary = "Execute all commands issued after MULTI", Since = "1.2.0", Complexity = "Depends on commands in the transaction" },
        new() { Name = "discard", Arity = 1, Flags = Basic | CommandFlags.Fast | CommandFlags.AllowBusy, Handler = Discard, Group = "transactions", Summary = "Discard all commands issued after MULTI", Since = "2.0.0", Complexity = "O(N), when N is the number of queued commands" },
        new() { Name = "watch", Arity = -2, Flags = Basic | CommandFlags.Fast | CommandFlags.AllowBusy, Handler = Watch, FirstKey = 1, LastKey = -1, KeyStep = 1, Group = "transactions", Summary = "Watch the given keys to determine execution of the MULTI/EXEC block", Since = "2.2.0", Complexity = "O(1) for every key." },
        new() { Name = "unwatch", Arity = 1, Flags = Basic | CommandFlags.Fast | CommandFlags.AllowBusy, Handler = Unwatch, Group = "transactions", Summary = "Forget about all watched keys", Since = "2.2.0" },
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
        (QueuedCommand[] commands, byte[] bytes) = transaction.Take();
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

        if (hasWrites && context.Execution.Refusal is { } refusal)
        {
            context.Reply.Error("EXECABORT Transaction discarded because of: " + refusal.Code + " " + refusal.Message);
            return;
        }

        RunAll(context, commands, bytes);
    }

    private static void RunAll(CommandContext context, QueuedCommand[] commands, byte[] bytes)
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
                context.SetArguments(bytes, 0, command.Arguments, command.Arguments.Length);
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
