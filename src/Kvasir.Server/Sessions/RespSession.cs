using System.Text;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Partitioning;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Sessions;

/// <summary>
/// One client's connection as the commands see it: what it has sent, what it will be answered, and all that a connection
/// remembers. Knows no sockets.
/// <para>
/// <b>Threads.</b> Its owner feeds <see cref="Input"/>, calls <see cref="Execute"/>, and sends from <see cref="Output"/>
/// while <see cref="IsRunning"/> is false. Commands run inside the node's mailbox, mostly on the owner's thread. Members
/// that other sessions may use say so.
/// </para>
/// </summary>
internal sealed class RespSession : IMailboxItem
{
    /// <summary>Unsent replies beyond which a client's further commands wait until it reads.</summary>
    private const int OutputBytesMax = 64 << 20;

    private const int QuietMs = 2000;

    /// <summary>Commands whose keys the engine is told ahead: enough to keep memory busy, few enough to stay in the nearest cache.</summary>
    private const int ForeseenMax = 16;

    private readonly Lock _pushLock = new();
    private readonly BytesBuffer _push = new(16);
    private readonly CommandContext _context;
    private int _pushLength;
    private int _replyStart;
    private volatile bool _running;
    private int _runner;
    private long _failureSeen;
    private ReadClaim _claim;

    // Bytes of input behind the commands whose keys the engine was told.
    private int _foreseenLeft;

    /// <summary>Of the request whose command runs now, else zero.</summary>
    private int _requestBytes;

    public RespSession(ServerState server, ISessionOwner owner, string address, string localAddress)
    {
        Server = server;
        Owner = owner;
        Reply = new RespWriter(Output.Buffer);
        Parser = new RespRequestParser(server.RequestLimits);
        Group = new CommitGroup(Output);
        _context = new CommandContext(this, server, Reply);
        Client = new ClientState(server.Clients.NextId(), address, localAddress, server.Clock.NowMs);
        Parser.Authenticated = Client.Authenticated = !server.RequiresPassword;
        _failureSeen = server.LogFailures.Count;
    }

    public ServerState Server { get; }

    public ISessionOwner Owner { get; }

    public ClientState Client { get; }

    public SessionInput Input { get; } = new();

    public SessionOutput Output { get; } = new();

    /// <summary>Commands of the run under way that are logged together.</summary>
    public CommitGroup Group { get; }

    public BufferUse Buffers { get; } = new();

    /// <summary>As <see cref="ClientMemory"/> counted it last. In the mailbox.</summary>
    public long CountedBytes { get; set; }

    /// <summary>Room for values under way, and for messages to be moved.</summary>
    public int ScratchBytes => _context.Value.Capacity + _context.Scratch.Capacity + _push.Capacity;

    /// <summary>A command of it runs, or waits at the head of its input. In the mailbox.</summary>
    public bool IsInCommand => _requestBytes != 0 || Suspended is not null;

    public RespRequestParser Parser { get; }

    public RespWriter Reply { get; }

    public TransactionState Transaction { get; } = new();

    public SessionSubscriptions Subscriptions { get; } = new();

    /// <summary>The database that SELECT chose.</summary>
    public int DatabaseIndex { get; set; }

    /// <summary>Its keyspace was dropped since; until the client selects another.</summary>
    public bool IsDatabaseGone { get; set; }

    /// <summary>Replies that are under way from other nodes. In the mailbox.</summary>
    public int RepliesOwed { get; set; }

    /// <summary>The version of the routes by which these were sent. In the mailbox.</summary>
    public ulong RoutedAt { get; set; }

    /// <summary>READONLY: reads may be answered by a replica here that is no older than so many milliseconds; 0 for never.</summary>
    public long StaleMaxMs { get; set; }

    /// <summary>What MOVED has told its client; null for nothing. In the mailbox.</summary>
    public ToldLeaders? ToldLeaders { get; set; }

    /// <summary>The oldest that a read was, at most, since READAGE was last asked. In the mailbox.</summary>
    public long ReadAgeMs { get; set; }

    /// <summary>Its next command takes another way than those under way: it waits until all of them are answered. In the mailbox.</summary>
    public bool WaitsForReplies { get; set; }

    /// <summary>Since when its next command has waited for a leader; 0 while none does. In the mailbox.</summary>
    public long WaitsSinceMs { get; set; }

    /// <summary>
    /// Commands before this place of its input had come when one of them had waited in vain for a leader: they have waited as long, and are
    /// refused at once while there is none.
    /// </summary>
    public long WaitedInVainTo { get; set; }

    /// <summary>Of the command that waits at the head, when its shard's leader has no lease. In the mailbox.</summary>
    public ref ReadClaim Claim => ref _claim;

    /// <summary>The shard that the command at the head waits for; it is woken when the shard's route may be another. In the mailbox.</summary>
    public GroupId Awaited { get; set; }

    /// <summary>It stands in the list of those who wait for routes. In the mailbox.</summary>
    public bool IsListed { get; set; }

    /// <summary>The shard that another node made this session for, on behalf of its clients; none for a client's own.</summary>
    public GroupId Pinned { get; init; }

    /// <summary>The numbers of its commands, when another node sends them; else null.</summary>
    public ForwardedRun? Forwarded { get; init; }

    /// <summary>
    /// It has told its node that this one does not lead: nothing that comes behind runs, since what was refused comes again,
    /// elsewhere, before it. In the mailbox.
    /// </summary>
    public bool HasRefused { get; set; }

    /// <summary>The owner's own: what it needs to find its connection again.</summary>
    public object? Connection { get; set; }

    private bool IsWithinLimit() => Server.Limits.Output(this).HardBytes is var limit && (limit == 0 || Output.Length - ConnectionLimits.UncountedOutput <= limit);

    /// <summary>It has not given the password that there is.</summary>
    public bool IsStranger => !Client.Authenticated && Server.RequiresPassword;

    /// <summary>Its commands run now, perhaps on another thread: the owner keeps its hands off until woken.</summary>
    public bool IsRunning => _running;

    /// <summary>Null, or why it does not read on for now.</summary>
    public Suspension? Suspended { get; set; }

    /// <summary>How many commands it is done with.</summary>
    public long CommandsExecuted { get; private set; }

    /// <summary>Used when the engine asks writers to wait.</summary>
    public DelaySuspension Delay { get; } = new();

    /// <summary>No more is read; the connection ends when what is on its way has left.</summary>
    public bool ClosesAfterReplies { get; set; }

    /// <summary>The connection ends now. Any thread may set it, and wakes the owner.</summary>
    public volatile bool ClosesNow;

    /// <summary>More requests may be complete in the input: it stopped for another reason than their end.</summary>
    public bool HasMore { get; private set; }

    public bool HasPush => Volatile.Read(ref _pushLength) != 0;

    /// <summary>Runs all complete commands of the input. When <see cref="IsRunning"/> is true afterwards, a wake follows.</summary>
    public void Execute()
    {
        BeginRun();
        Server.Node.Mailbox.Post(this);
    }

    /// <summary>The owner is about to have it run: from here on it keeps its hands off.</summary>
    public void BeginRun()
    {
        _runner = Environment.CurrentManagedThreadId;
        _running = true;
    }

    /// <summary>As <see cref="Execute"/>, for an owner that is inside the mailbox.</summary>
    public void ExecuteInside(Execution execution)
    {
        BeginRun();
        Run(execution);
    }

    public void Run(Execution execution)
    {
        _context.Execution = execution;
        Server.Events.Current = this;
        try
        {
            RunCommands(execution);
            Group.End(execution);
        }
        catch (Exception e) when (Server.Dispatcher.IsExpected(e))
        {
            if (e is CorruptionException damage)
                Server.DamageMet?.Invoke(damage);
            bool alone = Group.Abandon(execution, _replyStart);
            Reply.Error(e switch
            {
                WriteRefusedException => e.Message,
                (DiskFailedException and not DiskFullException) or FileMissingException => "IOERR " + e.Message,
                _ => "ERR " + e.Message,
            });
            if (alone && IsPlainRead)
            {
                // A read that met a damaged block is one failed read; the next may be of another block.
                Executed(_requestBytes);
                HasMore = true;
            }
            else
            {
                // Others of its group lost their replies, too: the client must not take this one for the first of theirs.
                ClosesAfterReplies = true;
            }
        }

        _requestBytes = 0;

        Server.Events.Tracking?.Broadcast();
        if (Server.SaveIsScheduled)
            Server.BeginScheduledSave();
        Buffers.Replied(Output.Length);
        if (Server.ClientMemory.IsOn)
            CountMemory();
        bool foreign = Environment.CurrentManagedThreadId != _runner;
        _running = false;
        if (foreign)
            Owner.Wake(this);
    }

    /// <summary>A message from outside its own commands. Any thread; copied.</summary>
    public void Push(ReadOnlySpan<byte> message)
    {
        lock (_pushLock)
        {
            _push.Append(message);
            Volatile.Write(ref _pushLength, _push.Length);
        }

        Owner.Wake(this);
    }

    /// <summary>Moves messages behind the replies so far. By the owner, or inside the mailbox.</summary>
    public void TakePushes()
    {
        if (!HasPush)
            return;
        lock (_pushLock)
        {
            Output.Buffer.Append(_push.WrittenSpan);
            _push.ClearAndTrim(4096);
            Volatile.Write(ref _pushLength, 0);
        }
    }

    /// <summary>Bytes of messages that wait to be moved. Any thread.</summary>
    public int PushBytes => Volatile.Read(ref _pushLength);

    /// <summary>
    /// Makes a place, behind the replies so far, for one that another node makes. Null when the client wants none. In the
    /// mailbox, with the group ended.
    /// </summary>
    public PendingReply? AwaitReply()
    {
        if (Client.ReplyMode != ReplyMode.On)
            return null;
        PendingReply reply = new(this);
        Output.AddPlace(reply);
        RepliesOwed++;
        return reply;
    }

    /// <summary>What may be sent now. By the owner, while it is not running.</summary>
    public Memory<byte> Sendable()
    {
        TakePushes();
        if (Output.HasGates)
        {
            Output.LookAtLogs();
            MeetLogFailures();
        }

        return Output.Sendable();
    }

    /// <summary>Closes it from outside. Any thread.</summary>
    public void Kill()
    {
        ClosesNow = true;
        Owner.Wake(this);
    }

    /// <summary>Gives back memory of a client that is quiet; by the owner, now and then.</summary>
    public void Tend(long nowMs, long quietMs)
    {
        Buffers.Tend(nowMs, quietMs, Server.Limits.ReplyPeakMs);
        if (quietMs <= QuietMs)
            return;
        Output.Trim();
        Parser.Trim();
        _context.Trim();
    }

    private void CountMemory()
    {
        Output.SpareBytesMax = ClientMemory.SpareBytesMax;
        if (ScratchBytes > ClientMemory.SpareBytesMax)
            _context.Trim();
        Server.ClientMemory.Count(this);
    }

    private void RunCommands(Execution execution)
    {
        Buffers.Received(Input.Length);
        TakePushes();
        MeetLogFailures();
        _replyStart = Output.Buffer.Length;
        HasMore = false;
        _foreseenLeft = int.MaxValue;
        long hardLimit = Pinned.IsNone ? Server.Limits.Output(this).HardBytes : 0;
        int outputMax = Server.ClientMemory.OutputMax(Client, OutputBytesMax);
        Server.Clock.Refresh();
        while (!ClosesAfterReplies && !ClosesNow)
        {
            _replyStart = Output.Buffer.Length;
            if (Suspended is { } suspension)
            {
                if (!suspension.TryResume(_context))
                    return;
                Suspended = null;
            }

            if (Input.Length == 0)
                return;
            if (Output.Length > outputMax)
            {
                HasMore = true;
                return;
            }

            if (Input.Length <= _foreseenLeft)
                Foresee();
            RespParseStatus status = Parser.Parse(Input.Bytes);
            if (status == RespParseStatus.Incomplete)
                return;
            if (status == RespParseStatus.Error)
            {
                // CLIENT REPLY OFF holds for the last words, too. They may show a byte of the request, as it came.
                if (Client.ReplyMode == ReplyMode.On)
                    Reply.Error(Encoding.Latin1.GetBytes("ERR " + Parser.Error));
                Input.Executed(Input.Length);
                ClosesAfterReplies = true;
                return;
            }

            int consumed = Parser.Consumed;
            if (Parser.ArgumentCount != 0)
            {
                byte[] bytes = Parser.InlineBytes ?? Input.Array!;
                _context.SetArguments(bytes, Parser.InlineBytes is null ? Input.Start : 0, Parser.Arguments, Parser.ArgumentCount);
                _requestBytes = consumed;
                if (!Server.Dispatcher.Execute(_context, Parser.LongestArgument))
                    return;
                _requestBytes = 0;
                Group.Add(execution, _replyStart, _context.Entry is { Definition.Flags: var flags } && (flags & CommandFlags.ReadOnly) != 0);

                // Nothing of it is sent, as in Redis: a reply that stops in the middle helps nobody.
                // Asked again where it counts: a stranger may have given the password meanwhile.
                if (hardLimit > 0 && Output.Length - ConnectionLimits.UncountedOutput > hardLimit && !IsWithinLimit())
                    ClosesNow = true;
            }

            Executed(consumed);

            // What a client that caches is to forget comes behind the reply that made it so, as from Redis. Not inside of a
            // group: what becomes of its replies is no matter of the message's.
            if (HasPush && Server.Events.Tracking is not null)
            {
                Group.End(execution);
                TakePushes();
            }
        }
    }

    /// <summary>The command at the head is done with, and so is all that was its own.</summary>
    private void Executed(int bytes)
    {
        CommandsExecuted++;
        Input.Executed(bytes);
        Forwarded?.Executed();
        _claim = default;
        Awaited = GroupId.None;
    }

    /// <summary>
    /// Tells the engine the keys of the next commands. Each would wait for memory several times by itself; together they
    /// wait at the same time.
    /// </summary>
    private void Foresee()
    {
        ReadOnlySpan<byte> bytes = Input.Bytes;
        Span<ulong> hashes = stackalloc ulong[ForeseenMax];
        Span<int> slots = stackalloc int[ForeseenMax];
        CommandRouter? router = Server.Router;
        int at = 0;
        int count = 0;
        bool reads = false;
        while (count < ForeseenMax && RequestGlance.TryNext(bytes, ref at, out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> key))
        {
            if (router is not null && Pinned.IsNone)
                slots[count] = Slot.OfKey(key).Value;
            hashes[count++] = StableHash.Hash64(key);

            // SET looks at no value. This is a guess about cost only: other commands are welcome to guess wrong.
            reads |= name.Length != 3 || (name[0] | 0x20) != 's';
        }

        // Whatever stopped the look stops it again: not before the input has come to its end.
        _foreseenLeft = count < ForeseenMax ? -1 : bytes.Length - at;
        if (count <= 1)
            return;
        if (router is not null)
            router.Foresee(this, slots[..count], hashes[..count], reads);
        else if (!IsDatabaseGone)
            Server.Node.Database(DatabaseIndex).Engine.Prefetch(hashes[..count], values: reads);
    }

    // What runs is a command that only reads, by itself, and whose reply is wanted.
    private bool IsPlainRead =>
        _requestBytes != 0 && !Transaction.IsOpen && Client.ReplyMode == ReplyMode.On
        && (_context.Entry.Definition.Flags & CommandFlags.ReadOnly) != 0;

    private void MeetLogFailures()
    {
        LogFailures failures = Server.LogFailures;
        if (failures.Count != _failureSeen || failures.Current)
            failures.Meet(Output, asksNext: Forwarded is not null, ref _failureSeen);
    }
}
