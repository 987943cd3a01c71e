using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>
/// To other nodes. Files where the engine has such as can be copied, rows otherwise, and for a while behind files of which nothing became:
/// rows tell what is wrong.
/// </summary>
internal sealed partial class SnapshotCourier
{
    // Of which the files are being made or sent at one time: a checkpoint wants all that is in memory flushed.
    private const int FilesAtOnce = 3;

    // What is copied costs a third of what is applied, at most; and what is applied goes at about this pace.
    private const double BytesForAnEntryByte = 3;
    private const double EntryBytesPerSecond = 32 << 20;

    private static readonly TimeSpan s_rowsAfterFailure = TimeSpan.FromSeconds(60);

    // Whoever lags a little all the time may need all of it for entries: files again and again would never let it have the newest.
    private static readonly TimeSpan s_entriesAfterFiles = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(5);

    private readonly List<(RaftGroup Group, SnapshotWanted Wanted)> _waiting = [];

    // Of the last minute.
    private readonly Dictionary<(GroupId Group, MemberId To), FilesSent> _filesSent = [];

    // Rows that came to nothing: whatever was in the way there, a full disk for example, may stay for long.
    private static readonly TimeSpan s_pauseMin = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_pauseMax = TimeSpan.FromSeconds(30);
    private readonly Dictionary<(GroupId Group, MemberId To), (TimeSpan Until, TimeSpan Length)> _pauses = [];
    private ITimer? _looks;
    private TimeSpan _filledAt;
    private long _bytesLeft;
    private long _delivered;
    private long _undelivered;

    public void Wanted(RaftGroup group, in SnapshotWanted wanted)
    {
        MemberId member = wanted.To;
        End(_senders.Find(s => s.Group == group && s.Member == member));
        _waiting.RemoveAll(w => w.Group == group && w.Wanted.To == member);
        _waiting.Add((group, wanted));
        mailbox.Post(new LookItem(this));
    }

    public bool IsCheaper(RaftGroup group, MemberId to, long engineBytes, long entryBytes) =>
        engineBytes <= entryBytes * Math.Min(BytesForAnEntryByte, (double)bytesPerSecond / EntryBytesPerSecond) && SendsFiles(group, to)
        && !(_filesSent.TryGetValue((group.Id, to), out FilesSent last) && host.Now() - last.EndedAt < s_entriesAfterFiles);

    /// <summary>What this node does about the snapshot that a member needs; null where it needs none.</summary>
    public SnapshotDispatch? DispatchTo(RaftGroup group, MemberId to)
    {
        if (_senders.Find(s => s.Group == group && s.Member == to) is { } sender)
        {
            (long made, long? total) = sender.Bytes;
            return new SnapshotDispatch(sender.HasBegun ? SnapshotStage.Sending : SnapshotStage.Preparing, made, total);
        }

        // Between two attempts it is not known to need one before it was asked.
        if (_pauses.TryGetValue((group.Id, to), out (TimeSpan Until, TimeSpan Length) pause) && host.Now() < pause.Until)
            return new SnapshotDispatch(SnapshotStage.Refused, 0, Total: null);
        return _waiting.Exists(w => w.Group == group && w.Wanted.To == to) ? new SnapshotDispatch(SnapshotStage.Waiting, 0, Total: null) : null;
    }

    private bool SendsFiles(RaftGroup group, MemberId to) =>
        folders.ShipsFiles(group.Replica.Options.Engine)
        && !(_filesSent.TryGetValue((group.Id, to), out FilesSent last) && last.HasFailed && host.Now() - last.EndedAt < s_rowsAfterFailure);

    /// <summary>Begins those that can begin. What waits for the engine to say what it holds is looked at again soon.</summary>
    private void BeginWaiting()
    {
        int files = _senders.Count(static s => s.Outgoing is not null);
        bool looksAgain = false;
        foreach ((RaftGroup group, SnapshotWanted wanted) in _waiting.ToArray())
        {
            bool isWanted = host.TryFind(group.Id, out RaftGroup? there) && there == group && !group.IsOut
                && group.Role == RaftRole.Leader && group.Member.Term == wanted.Term;
            bool asFiles = isWanted && SendsFiles(group, wanted.To);
            if (isWanted && _pauses.TryGetValue((group.Id, wanted.To), out (TimeSpan Until, TimeSpan Length) pause) && host.Now() < pause.Until)
                continue;
            if (isWanted && (group.StablePlace is null || (asFiles && files >= FilesAtOnce)))
            {
                looksAgain |= group.StablePlace is null;
                continue;
            }

            _waiting.Remove((group, wanted));
            if (!isWanted)
                continue;
            files += asFiles ? 1 : 0;
            Begin(group, wanted, asFiles);
        }

        if (looksAgain)
            LookSoon();
    }

    private void Begin(RaftGroup group, in SnapshotWanted wanted, bool asFiles)
    {
        SnapshotHead head = group.StableHead() with { Offer = new SnapshotOrigin(wanted.Term, group.Member.Id.Generation, wanted.To.Generation) };
        Check.That(head.Index >= wanted.AtLeast);
        TimeSpan now = host.Now();
        ulong stream = random.NextUInt64();
        try
        {
            if (asFiles)
            {
                var outgoing = new OutgoingFiles(
                    folders.Files, scheduler, group.Replica.Engine.BeginCheckpoint(), folders.NextOutgoing(group.Id), group.Replica.Options.Engine, PostLook);
                _senders.Add(new SnapshotSender(group, wanted.To, stream, head, now) { Outgoing = outgoing });
                outgoing.Begin();
                return;
            }

            var sender = new SnapshotSender(group, wanted.To, stream, head, now);
            sender.Begin(new RowContent(group.Replica.Engine), now);
            _senders.Add(sender);
        }
        catch (CorruptionException e)
        {
            group.Damaged(e);
        }
        catch (StorageException) when (asFiles)
        {
            FilesEnded(group, wanted.To, hasFailed: true, now);
            group.SnapshotFinished(now, wanted.To, LogIndex.Zero);
        }
    }

    /// <summary>
    /// Begins those that wait, as far as they may, and those whose files are made, and sends what may be sent. Nothing of it rests on the
    /// order: what one finds out later than another, it finds out soon.
    /// </summary>
    private void Look(TimeSpan now)
    {
        BeginWaiting();
        BeginMade();
        Pump(now);
    }

    /// <summary>Sends those whose files are made.</summary>
    private void BeginMade()
    {
        foreach (SnapshotSender sender in _senders.ToArray())
        {
            if (sender.Outgoing is not { } outgoing || sender.HasBegun)
                continue;
            bool isDone = outgoing.TryTake(out FileContent? content);
            if (!sender.Leads || (isDone && content is null))
            {
                content?.Dispose();
                Finish(sender, LogIndex.Zero, host.Now());
            }
            else if (content is not null)
            {
                sender.Begin(content, host.Now());
            }
        }
    }

    private void LookSoon()
    {
        _looks ??= scheduler.Time.CreateTimer(
            static courier => ((SnapshotCourier)courier!).PostLook(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _looks.Change(s_look, Timeout.InfiniteTimeSpan);
    }

    private void PostLook() => mailbox.Post(new LookItem(this));

    private void Pump(TimeSpan now)
    {
        // At most what a tenth of a second allows, however long nothing was sent.
        TimeSpan passed = now - _filledAt;
        _filledAt = now;
        long fill = (long)(bytesPerSecond * Math.Min(passed.TotalSeconds, 0.1));
        _bytesLeft = Math.Min(_bytesLeft + fill, bytesPerSecond / 10);
        bool isHeldBack = false;
        foreach (SnapshotSender sender in _senders.ToArray())
        {
            try
            {
                long before = _bytesLeft;
                sender.Send(transport, ref _bytesLeft);
                BytesSent += before - _bytesLeft;
                isHeldBack |= sender.HasBegun && _bytesLeft <= 0;
            }
            catch (StorageException) when (sender.Outgoing is not null)
            {
                // Of files nobody knows what is in them: rows tell, where something is wrong.
                Examine(sender);
                Finish(sender, LogIndex.Zero, now);
            }
            catch (CorruptionException e)
            {
                Damaged(sender, e, now);
            }
        }

        // Often, and a little each time: what comes at once, others have to wait for.
        if (isHeldBack)
            LookSoon();
    }

    private void GoBack(SnapshotSender sender, TimeSpan now)
    {
        try
        {
            sender.GoBack(now);
        }
        catch (CorruptionException e)
        {
            Damaged(sender, e, now);
        }
    }

    /// <summary>Whoever leads next sends what it has.</summary>
    private void Damaged(SnapshotSender sender, CorruptionException cause, TimeSpan now)
    {
        sender.Group.Damaged(cause);
        Finish(sender, LogIndex.Zero, now);
    }

    private void Acknowledged(NodeId from, ReadOnlySpan<byte> message)
    {
        if (!SnapshotCodec.TryReadAcknowledgement(message, out GroupId group, out ulong stream, out ulong chunks, out SnapshotProgress progress)
            || _senders.Find(s => s.Stream == stream && s.To == from && s.Group.Id == group) is not { } sender)
            return;
        TimeSpan now = host.Now();
        if (progress == SnapshotProgress.Receiving)
        {
            sender.Arrived(chunks, now);
            Pump(now);
            return;
        }

        if (progress == SnapshotProgress.Failed)
            Examine(sender);
        Finish(sender, progress == SnapshotProgress.Installed ? sender.Head.Index : LogIndex.Zero, now);
    }

    /// <summary>Files were not taken, or cannot be read: it may be that they are damaged here.</summary>
    private void Examine(SnapshotSender sender)
    {
        try
        {
            sender.Outgoing?.Examine(folders, folders.FolderOf(sender.Group), damage => mailbox.Post(new DamagedItem(sender.Group, sender.Engine, damage)));
        }
        catch (StorageException)
        {
            // What is wrong is not the files, and whoever reads it next says so.
        }
    }

    private void Finish(SnapshotSender sender, LogIndex installed, TimeSpan now)
    {
        _ = installed == LogIndex.Zero ? _undelivered++ : _delivered++;
        if (sender.Outgoing is not null && sender.Leads)
            FilesEnded(sender.Group, sender.Member, installed == LogIndex.Zero, now);
        if (sender.Outgoing is null || installed != LogIndex.Zero)
            Pause(sender, installed, now);
        End(sender);
        sender.Group.SnapshotFinished(now, sender.Member, installed);
        if (_waiting.Count > 0)
            PostLook();
    }

    /// <summary>What is sent goes nowhere, as fast as it may: not at once again.</summary>
    private void Pause(SnapshotSender sender, LogIndex installed, TimeSpan now)
    {
        (GroupId, MemberId) whose = (sender.Group.Id, sender.Member);
        if (installed != LogIndex.Zero || sender.Group.Role != RaftRole.Leader)
        {
            _pauses.Remove(whose);
            return;
        }

        TimeSpan length = _pauses.TryGetValue(whose, out (TimeSpan Until, TimeSpan Length) last) ? last.Length * 2 : s_pauseMin;
        length = length > s_pauseMax ? s_pauseMax : length;
        _pauses[whose] = (now + length, length);
    }

    private void FilesEnded(RaftGroup group, MemberId to, bool hasFailed, TimeSpan now)
    {
        foreach ((GroupId, MemberId) past in _filesSent.Where(f => now - f.Value.EndedAt >= s_rowsAfterFailure).Select(static f => f.Key).ToArray())
            _filesSent.Remove(past);
        _filesSent[(group.Id, to)] = new FilesSent(now, hasFailed);
    }

    private void End(SnapshotSender? sender)
    {
        if (sender is null)
            return;
        _senders.Remove(sender);
        sender.Dispose();
    }

    private readonly record struct FilesSent(TimeSpan EndedAt, bool HasFailed);
}
