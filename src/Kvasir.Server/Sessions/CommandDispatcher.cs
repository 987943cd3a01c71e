using System.Text;
using Kvasir.Cluster.Replicas;
using Kvasir.Storage.Files;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Sessions;

/// <summary>
/// Takes one request from its arguments to its reply: finds the command, refuses what may not run now with Redis's words,
/// queues inside MULTI, runs, commits unless the session commits several together, counts. Inside the mailbox.
/// </summary>
internal sealed class CommandDispatcher
{
    public const string OutOfMemory = "OOM command not allowed when used memory > 'maxmemory'.";
    public const string NoReplicas = "NOREPLICAS Not enough good replicas to write.";
    public const string DatabaseGone = "ERR the keyspace of this database was dropped: SELECT another";
    private const int KeyBytesMax = 64 << 10;
    private readonly ServerState _server;
    private readonly ServerStatistics _statistics;

    public CommandDispatcher(ServerState server)
    {
        _server = server;
        _statistics = server.Statistics;
    }

    /// <summary>Failures of the disk under a read are the client's to hear; anything else is a defect.</summary>
    public bool IsExpected(Exception exception) => exception is StorageException;

    /// <summary>False: the command did not begin, and its session is suspended; it comes again.</summary>
    public bool Execute(CommandContext context, int longestArgument)
    {
        RespSession session = context.Session;
        int start = context.Reply.Buffer.Length;
        CommandEntry? entry = Resolve(context);
        if (entry is null)
        {
            session.Client.LastCommand = ClientState.NoCommand;
            Rejected(context, start, entry: null);
            return true;
        }

        context.Entry = entry;
        session.Client.LastCommand = entry.FullName;
        CommandFlags flags = entry.Definition.Flags;
        if (!entry.HasArity(context.ArgumentCount))
        {
            context.Reply.Error($"ERR wrong number of arguments for '{entry.FullName}' command");
            Rejected(context, start, entry);
            return true;
        }

        // Before anything else may refuse it: what happened the first time is not refused now.
        if (session.Forwarded is { IsRepeat: true } && _server.Router!.DirectRepeat(context) is var repeat and not Direction.Runs)
            return repeat != Direction.Waits;
        if (!MayRun(context, entry, flags, longestArgument))
        {
            if (session.Suspended is not null)
                return false;
            Rejected(context, start, entry);
            return true;
        }

        if (_server.Router is { } router)
        {
            switch (router.Direct(context, entry))
            {
                case Direction.Waits:
                    return false;
                case Direction.Refused:
                    Rejected(context, start, entry);
                    return true;
                case Direction.Sent:
                    if (session.Client.ReplyMode != ReplyMode.On)
                        MaybeSilence(session, start, entry);
                    return true;
            }
        }

        WriteRefusal? refusal = (flags & CommandFlags.Write) != 0 ? RefusalOf(context) : null;
        if (refusal is not null && !MayWriteAllTheSame(session, entry))
        {
            if (_server.Router?.WaitsOut(session, refusal) == true)
                return false;
            session.WaitsSinceMs = 0;
            context.Reply.Error(refusal.Code + " " + refusal.Message);
            Rejected(context, start, entry);
            return true;
        }

        session.WaitsSinceMs = 0;
        TransactionState transaction = session.Transaction;
        if (transaction.IsOpen && !RunsInsideMulti(entry))
        {
            transaction.Add(context, entry);
            context.Reply.SimpleString("QUEUED"u8);
        }
        else
        {
            // What is taken though writes are refused does not wait for work that has no room to be done.
            if ((flags & CommandFlags.Write) != 0 && (refusal is null || context.Database.Engine.BackgroundFailure is null) && !MayWriteNow(context))
                return false;
            if (entry.SharesRecord)
            {
                if (context.Routed is { } routed)
                    session.Group.EndUnless(context.Execution, routed.Log);
                CallNoted(context, entry, start);
            }
            else
            {
                session.Group.End(context.Execution);
                CallNoted(context, entry, start);
                context.Execution.Commit();
            }
        }

        if (session.Client.ReplyMode != ReplyMode.On)
            MaybeSilence(session, start, entry);
        return true;
    }

    /// <summary>As <see cref="Call"/>; a write that another node sent is remembered with its reply, should it come again.</summary>
    private void CallNoted(CommandContext context, CommandEntry entry, int start)
    {
        if (context.Session.Forwarded is not { Remembers: true } forwarded)
        {
            Call(context, entry);
            return;
        }

        int staged = context.Execution.StagedBytes;
        Call(context, entry);
        if (context.Execution.StagedBytes != staged)
            context.Execution.Remember(forwarded.Id, context.Reply.Buffer.WrittenSpan[start..]);
    }

    /// <summary>Runs a command that may run: counts it, and hands it to the slow log. Does not commit.</summary>
    public void Call(CommandContext context, CommandEntry entry)
    {
        int start = context.Reply.Buffer.Length;
        ServerClock clock = _server.Clock;
        long began = clock.NowMicroseconds;
        if (!context.Session.Transaction.IsExecuting)
            context.NowMs = clock.NowMs;

        // In the mailbox, right before it runs: what it writes must be taken by then, here and wherever the log is applied.
        if ((entry.Definition.Flags & CommandFlags.Write) == 0 || WriteAdmission.Admits(context, entry))
            entry.Definition.Handler!(context);
        clock.Refresh();
        long took = clock.NowMicroseconds - began;
        entry.Counters.Count(took);
        _statistics.Commands++;
        RespSession session = context.Session;
        session.Client.LastCommandAtMs = clock.NowMs;
        Span<byte> written = context.Reply.Buffer.WrittenSpan;
        if (written.Length > start && written[start] == (byte)'-')
        {
            entry.Counters.Failed++;
            _statistics.CountError(written[start..]);
        }

        if (session.Client.Tracking is { } tracking)
            Track(context, entry, tracking);
        if (_server.Use.NotesReads && (entry.Definition.Flags & CommandFlags.ReadOnly) != 0)
            NoteUse(context, entry.Definition);
        // After it ran, as Redis does: EXEC is shown after the commands of its block.
        if (_server.Monitors.Count != 0 && (entry.Definition.Flags & (CommandFlags.SkipMonitor | CommandFlags.Admin)) == 0)
            _server.FeedMonitors(context);
        if (took >= _server.SlowLog.ThresholdMicroseconds && _server.SlowLog.IsOn
            && (entry.Definition.Flags & CommandFlags.SkipSlowlog) == 0)
        {
            _server.SlowLog.Add(context, clock.NowMs, took);
        }

        if (took >= _server.Latency.ThresholdMicroseconds)
            _server.Latency.AddCommand(entry, clock.NowMs, took);
    }

    /// <summary>For OBJECT IDLETIME and FREQ. Some commands look at a key without using it.</summary>
    private void NoteUse(CommandContext context, CommandDefinition definition)
    {
        if (definition.Name is "ttl" or "pttl" or "expiretime" or "pexpiretime" or "type" or "exists"
            || context.Entry.Parent?.Definition.Name is "object" or "memory")
        {
            return;
        }

        int last = definition.LastKey < 0 ? context.ArgumentCount + definition.LastKey : definition.LastKey;
        for (int i = definition.FirstKey; i != 0 && i <= last && i < context.ArgumentCount; i += Math.Max(definition.KeyStep, 1))
            _server.Use.Used(context.DatabaseIndex, context.Argument(i));
    }

    /// <summary>Remembers the keys that a client which caches has read; what CLIENT CACHING said holds for one command or block.</summary>
    private void Track(CommandContext context, CommandEntry entry, TrackingState tracking)
    {
        CommandDefinition definition = entry.Definition;
        if ((definition.Flags & CommandFlags.ReadOnly) != 0 && tracking.Remembers)
        {
            int last = definition.LastKey < 0 ? context.ArgumentCount + definition.LastKey : definition.LastKey;
            for (int i = definition.FirstKey; i != 0 && i <= last && i < context.ArgumentCount; i += Math.Max(definition.KeyStep, 1))
                _server.Tracking.Read(context.Session, context.Argument(i));
        }

        TransactionState transaction = context.Session.Transaction;
        if (!transaction.IsOpen && !transaction.IsExecuting && entry.Parent?.Definition.Name != "client")
            tracking.Caching = null;
    }

    private CommandEntry? Resolve(CommandContext context)
    {
        CommandEntry? entry = _server.Commands.Find(context.Argument(0));
        if (entry is null && IsHttp(context.Argument(0)))
        {
            // A web page made somebody's browser send this: what follows in the body must not be taken for commands.
            context.Session.ClosesNow = true;
            return null;
        }

        if (entry is null)
        {
            context.Reply.Error(UnknownCommand(context));
            return null;
        }

        if (entry.Subcommands is null || context.ArgumentCount < 2)
            return entry;
        CommandEntry? subcommand = entry.Subcommands.Find(context.Argument(1));
        if (subcommand is null)
        {
            context.Reply.ErrorAbout(
                "ERR unknown subcommand '"u8, context.Argument(1), Encoding.ASCII.GetBytes($"'. Try {entry.FullName.ToUpperInvariant()} HELP."));
        }

        return subcommand;
    }

    private static bool IsHttp(ReadOnlySpan<byte> name) =>
        Ascii.EqualsIgnoreCase(name, "post"u8) || Ascii.EqualsIgnoreCase(name, "host:"u8);

    private static byte[] UnknownCommand(CommandContext context)
    {
        Kvasir.Primitives.BytesBuffer text = new(256);
        ReadOnlySpan<byte> name = RespWriter.CText(context.Argument(0));
        text.Append("ERR unknown command '"u8);
        text.Append(name[..Math.Min(name.Length, 128)]);
        text.Append("', with args beginning with: "u8);
        int start = text.Length;
        for (int i = 1; i < context.ArgumentCount && text.Length - start < 128; i++)
        {
            ReadOnlySpan<byte> argument = RespWriter.CText(context.Argument(i));
            text.Append((byte)'\'');
            text.Append(argument[..Math.Min(argument.Length, 128 - (text.Length - 1 - start))]);
            text.Append("' "u8);
        }

        return text.WrittenSpan.ToArray();
    }

    private bool MayRun(CommandContext context, CommandEntry entry, CommandFlags flags, int longestArgument)
    {
        RespSession session = context.Session;
        RespWriter reply = context.Reply;
        if (entry.Definition.Handler is null)
        {
            reply.Error($"ERR wrong number of arguments for '{entry.FullName}' command");
            return false;
        }

        if (!session.Client.Authenticated && (flags & CommandFlags.NoAuth) == 0)
        {
            if (_server.RequiresPassword)
            {
                reply.Error("NOAUTH Authentication required.");
                return false;
            }

            session.Client.Authenticated = true;
            session.Parser.Authenticated = true;
        }

        if (session.Transaction.IsOpen && (flags & CommandFlags.NoMulti) != 0)
        {
            reply.Error("ERR Command not allowed inside a transaction");
            return false;
        }

        if ((flags & CommandFlags.Protected) != 0 && !_server.AllowsProtected(session, entry))
        {
            CommandEntry family = entry.Parent ?? entry;
            reply.Error($"ERR {family.FullName.ToUpperInvariant()} command not allowed. If the enable-{family.FullName}-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server.");
            return false;
        }

        if (session.IsDatabaseGone && NeedsDatabase(entry))
        {
            reply.Error(DatabaseGone);
            return false;
        }

        if (longestArgument > KeyBytesMax && HasLongKey(context, entry.Definition))
        {
            reply.Error($"ERR key is longer than {KeyBytesMax} bytes");
            return false;
        }

        if (_server.IsMemoryTooSmall && !(session.Transaction.IsOpen ? RunsInsideMulti(entry) : (flags & CommandFlags.DenyOom) == 0))
        {
            reply.Error(OutOfMemory);
            return false;
        }

        if ((flags & CommandFlags.Write) != 0 && _server.LacksReplicas)
        {
            reply.Error(NoReplicas);
            return false;
        }

        if (session.Subscriptions.Any && reply.Protocol == 2 && !RunsWhileSubscribed(entry))
        {
            reply.Error($"ERR Can't execute '{entry.FullName}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context");
            return false;
        }

        if (_server.Pause.UntilMs != 0 && !MayRunDuringPause(session, entry, flags))
        {
            session.Suspended = new PausedSuspension(_server);
            return false;
        }

        return true;
    }

    private bool MayRunDuringPause(RespSession session, CommandEntry entry, CommandFlags flags)
    {
        PauseState pause = _server.Pause;
        if (!pause.IsActive(_server.Clock.NowMs))
        {
            pause.End();
            return true;
        }

        if (!pause.WritesOnly)
            return false;
        if (entry.Definition.Name == "exec" && entry.Parent is null)
            return !session.Transaction.HasWrites;
        return (flags & (CommandFlags.Write | CommandFlags.MayReplicate)) == 0 || session.Transaction.IsOpen;
    }

    /// <summary>Back-pressure: the session waits as long as the engine asks, then the engine is asked again.</summary>
    private bool MayWriteNow(CommandContext context)
    {
        RespSession session = context.Session;
        TimeSpan delay = context.Database.SuggestWriteDelay(session.Parser.Consumed);
        if (delay <= TimeSpan.Zero)
            return true;
        _statistics.DelayedWrites++;
        session.Suspended = session.Delay.Until(_server.Clock.NowMicroseconds + (delay.Ticks / TimeSpan.TicksPerMicrosecond));
        return false;
    }

    private static bool NeedsDatabase(CommandEntry entry) =>
        entry.Definition.FirstKey != 0 || entry.Definition.OverShards is not null || (entry.Definition.Flags & CommandFlags.Write) != 0
        || (entry.Parent ?? entry).Definition.Name is "exec" or "debug";

    private static bool HasLongKey(CommandContext context, CommandDefinition definition)
    {
        if (definition.FirstKey == 0)
            return false;
        int last = definition.LastKey < 0 ? context.ArgumentCount + definition.LastKey : definition.LastKey;
        for (int i = definition.FirstKey; i <= last && i < context.ArgumentCount; i += Math.Max(definition.KeyStep, 1))
        {
            if (context.Argument(i).Length > KeyBytesMax)
                return true;
        }

        return false;
    }

    /// <summary>Null, too, where nobody knows yet whose refusal would count: inside MULTI in a cluster.</summary>
    private WriteRefusal? RefusalOf(CommandContext context) =>
        context.Routed is null && _server.Router is not null ? null : context.Database.Log.Refusal;

    private bool MayWriteAllTheSame(RespSession session, CommandEntry entry) =>
        GivesBackSpace(entry) && !session.Transaction.IsOpen && _server.Node.Alone?.MakeRoomForDeletion() == true;

    private static bool GivesBackSpace(CommandEntry entry) =>
        entry.Definition.Name is "del" or "unlink" or "flushdb" or "flushall" && entry.Parent is null;

    public static bool RunsInsideMulti(CommandEntry entry) =>
        entry.Definition.Name is "exec" or "discard" or "multi" or "watch" or "quit" or "reset" && entry.Parent is null;

    private static bool RunsWhileSubscribed(CommandEntry entry) =>
        entry.Definition.Name is "subscribe" or "ssubscribe" or "psubscribe" or "unsubscribe" or "sunsubscribe" or "punsubscribe"
            or "ping" or "quit" or "reset"
        && entry.Parent is null;

    private void Rejected(CommandContext context, int start, CommandEntry? entry)
    {
        RespSession session = context.Session;
        if (entry is not null)
            entry.Counters.Rejected++;
        if (entry is { Definition.Name: "exec", Parent: null })
            AbortTransaction(context, start);
        session.Transaction.HasErrors |= session.Transaction.IsOpen;
        _statistics.CountError(context.Reply.Buffer.WrittenSpan[start..]);
        if (session.Client.ReplyMode != ReplyMode.On)
            MaybeSilence(session, start, entry: null);
    }

    /// <summary>An EXEC that may not run ends its block all the same, and says why it did not run.</summary>
    private void AbortTransaction(CommandContext context, int start)
    {
        Span<byte> written = context.Reply.Buffer.WrittenSpan[start..];
        byte[] reason = written[(written.StartsWith("-ERR "u8) ? 5 : 1)..^2].ToArray();
        context.Reply.Buffer.Truncate(start);
        context.Reply.Error([.. "EXECABORT Transaction discarded because of: "u8, .. reason]);
        context.Session.Transaction.End();
        _server.Watches.RemoveAll(context.Session);
    }

    /// <summary>CLIENT REPLY holds for replies; what SUBSCRIBE and its like confirm are messages, and those always go out.</summary>
    private static void MaybeSilence(RespSession session, int start, CommandEntry? entry)
    {
        ClientState client = session.Client;
        if (entry is { Parent: null } && !session.Transaction.IsOpen
            && entry.Definition.Name is "subscribe" or "psubscribe" or "ssubscribe" or "unsubscribe" or "punsubscribe" or "sunsubscribe")
        {
            start = session.Output.Buffer.Length;
        }

        switch (client.ReplyMode)
        {
            case ReplyMode.Off:
                session.Output.Buffer.Truncate(Math.Max(start, client.SilentFrom));
                client.SilentFrom = 0;
                break;
            case ReplyMode.SkipNext:
                client.ReplyMode = ReplyMode.Skip;
                break;
            case ReplyMode.Skip:
                session.Output.Buffer.Truncate(start);
                client.ReplyMode = ReplyMode.On;
                break;
        }
    }

}
