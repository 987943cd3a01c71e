using Kvasir.Primitives;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;
using Kvasir.Raft.Reads;
using Kvasir.Raft.Replication;

namespace Kvasir.Raft.Tests.Worlds;

/// <summary>
/// The smallest driver: entries in a list, a disk whose writes wait until they are let through, a state machine that is the
/// list of what was applied.
/// </summary>
internal sealed class TestMember : IEntrySizes
{
    private readonly RaftSettings _settings;
    private readonly SeededRandom _random;
    private readonly Ready _ready = new();
    private readonly List<LogEntry> _entries = [];
    private readonly Queue<DiskWrite> _writes = new();
    private Image? _installing;

    public TestMember(RaftSettings settings, DurableState disk, MemberId id, ulong seed, TimeSpan now)
    {
        _settings = settings;
        _random = new SeededRandom(seed);
        Disk = disk;
        Id = id;
        Raft = Recover(now);
    }

    public MemberId Id { get; }

    public DurableState Disk { get; }

    public RaftMember Raft { get; private set; }

    public LogIndex Base { get; private set; }

    public List<string> State { get; private set; } = [];

    public bool IsDown { get; private set; }

    public bool HoldsApply { get; set; }

    public IReadOnlyList<LogEntry> Entries => _entries;

    public int WritesPending => _writes.Count;

    public List<ReadReady> Reads { get; } = [];

    public Image? SnapshotSource { get; private set; }

    public Action<string>? Trace { get; set; }

    /// <summary>Called for each entry as it is applied.</summary>
    public Action<LogIndex, LogEntry>? OnApply { get; set; }

    public LogEntry Entry(LogIndex index) => _entries[(int)(index - Base) - 1];

    public LogIndex Fit(LogIndex first, LogIndex last, long bytesMax, out long bytes)
    {
        bytes = 0;
        LogIndex at = first;
        for (; at <= last; at = at.Next)
        {
            long size = Entry(at).Data.Length;
            if (at > first && bytes + size > bytesMax)
                break;
            bytes += size;
        }

        return at.Previous;
    }

    public ProposeOutcome Propose(TimeSpan now, params string[] data)
    {
        ProposeOutcome outcome = Raft.Propose(now, data.Length);
        if (outcome.IsAccepted)
        {
            for (int i = 0; i < data.Length; i++)
                Keep(outcome.First + (ulong)i, new LogEntry(outcome.Term, EntryKind.Normal, data[i]));
        }

        return outcome;
    }

    public void Receive(TimeSpan now, Envelope envelope)
    {
        StepOutcome outcome = Raft.Step(now, envelope.Message);
        if (outcome.HasEntries)
        {
            Assert.Equal(envelope.Message.LastIndex, outcome.Last);
            for (LogIndex i = outcome.First; i <= outcome.Last; i = i.Next)
                Keep(i, envelope.Entries[(int)(i - envelope.Message.Index) - 1]);
        }

        if (outcome.TakesSnapshot)
            _installing = envelope.Image;
    }

    /// <summary>Does what the member asks, but for the disk's writes and the messages: the first wait, the others are given away.</summary>
    public void Drain(TimeSpan now, Action<Envelope> send)
    {
        while (Raft.HasReady)
        {
            Raft.TakeReady(_ready);
            if (_ready.RoleChanged)
                Trace?.Invoke($"{Id} is {_ready.Role} of term {_ready.Term}, leader {_ready.Leader}");
            foreach (OwnEntry own in _ready.OwnEntries)
                Keep(own.Index, new LogEntry(own.Term, own.Kind, "", own.Configuration));
            Persist();
            foreach (RaftMessage message in _ready.Messages)
                send(Seal(message));
            if (_ready.CommitAdvanced)
                Trace?.Invoke($"{Id} commits {_ready.CommitIndex}");
            if (_ready.Reads is { } reads)
            {
                Reads.Add(reads);
                Trace?.Invoke($"{Id} may read batch {reads.Batch} at {reads.Index}");
            }

            foreach (SnapshotWanted wanted in _ready.SnapshotsWanted)
                SendSnapshot(wanted, send);
            if (_installing is { } image)
                Install(now, image);
            if (!HoldsApply)
                Apply(now);
        }
    }

    public void Apply(TimeSpan now)
    {
        if (Raft.AppliedIndex == Raft.CommitIndex)
            return;
        for (LogIndex i = Raft.AppliedIndex.Next; i <= Raft.CommitIndex; i = i.Next)
        {
            LogEntry entry = Entry(i);
            Assert.True(Raft.TryTermAt(i, out Term term) && term == entry.Term, $"{Id}: bytes of {i} are of term {entry.Term}, the log says {term}");
            OnApply?.Invoke(i, entry);
            State.Add(entry.ToString());
        }

        Raft.Applied(now, Raft.CommitIndex);
    }

    /// <summary>The disk completes this many writes and says so.</summary>
    public bool Sync(TimeSpan now, int writes = int.MaxValue)
    {
        WriteNumber done = WriteNumber.None;
        while (writes-- > 0 && _writes.TryDequeue(out DiskWrite? write))
        {
            Disk.Write(write);
            done = write.Request.Write;
        }

        if (done == WriteNumber.None)
            return false;
        Raft.Synced(now, done);
        return true;
    }

    public Image? Compact()
    {
        LogIndex index = LogIndex.Least(Raft.AppliedIndex, Raft.SyncedIndex);
        if (index <= Base)
            return SnapshotSource;
        Image image = Snapshot(index);
        Disk.Compact(image);
        Raft.Compact(index);
        _entries.RemoveRange(0, (int)(index - Base));
        Base = index;
        SnapshotSource = image;
        return image;
    }

    /// <summary>The machine stops; of the writes that wait, this many had reached the disk unreported.</summary>
    public void Crash(int writesThatReached = 0)
    {
        while (writesThatReached-- > 0 && _writes.TryDequeue(out DiskWrite? write))
            Disk.Write(write);
        _writes.Clear();
        IsDown = true;
    }

    public void Restart(TimeSpan now)
    {
        _writes.Clear();
        Reads.Clear();
        _installing = null;
        Raft = Recover(now);
        IsDown = false;
    }

    private RaftMember Recover(TimeSpan now)
    {
        _entries.Clear();
        _entries.AddRange(Disk.Entries);
        Base = Disk.Base.Index;
        State = [.. Disk.Base.State];
        SnapshotSource = Base > LogIndex.Zero ? Disk.Base : null;
        return new RaftMember(_settings, Disk.Recovery(Id), this, _random, now);
    }

    private void Keep(LogIndex index, LogEntry entry)
    {
        int at = (int)(index - Base) - 1;
        Assert.InRange(at, 0, _entries.Count);
        if (at < _entries.Count)
            _entries.RemoveRange(at, _entries.Count - at);
        _entries.Add(entry);
    }

    private void Persist()
    {
        if (_ready.Persist.IsNone)
            return;
        LogEntry[] entries = [];
        if (_ready.Persist.HasEntries)
            entries = [.. _entries.Skip((int)(_ready.Persist.First - Base) - 1).Take((int)(_ready.Persist.Last - _ready.Persist.First) + 1)];
        _writes.Enqueue(new DiskWrite(_ready.Persist, entries, _ready.Persist.ResetsLog ? SnapshotSource : null));
    }

    private Envelope Seal(RaftMessage message)
    {
        LogEntry[] entries = [];
        if (message.HasEntries)
            entries = [.. _entries.Skip((int)(message.Index - Base)).Take((int)(message.LastIndex - message.Index))];
        Assert.All(entries, e => Assert.Equal(message.EntryTerm, e.Term));
        Assert.Equal(message.Configuration, entries.Length == 1 ? entries[0].Configuration : null);
        return new Envelope(message, entries);
    }

    private void SendSnapshot(SnapshotWanted wanted, Action<Envelope> send)
    {
        Trace?.Invoke($"{Id} is to send {wanted.To} a snapshot of {wanted.AtLeast} or later");
        Image image = SnapshotSource is { } source && source.Index >= wanted.AtLeast ? source : Compact()!;
        Assert.True(image.Index >= wanted.AtLeast);
        send(new Envelope(
            new RaftMessage
            {
                Kind = MessageKind.SnapshotOffer,
                From = Id,
                To = wanted.To,
                Term = wanted.Term,
                Index = image.Index,
                LogTerm = image.Term,
            },
            [], image));
    }

    private void Install(TimeSpan now, Image image)
    {
        _installing = null;
        bool installs = Raft.TryInstallSnapshot(now, image.Index, image.Term, image.Configuration);
        Trace?.Invoke($"{Id} {(installs ? "installs" : "needs no")} snapshot {image.Index}");
        if (!installs)
            return;
        _entries.Clear();
        Base = image.Index;
        State = [.. image.State];
        SnapshotSource = image;
    }

    private Image Snapshot(LogIndex index)
    {
        Assert.True(Raft.TryTermAt(index, out Term term));
        ConfigurationEntry configuration = Raft.ConfigurationAt(index);
        return new Image(index, term, configuration, [.. State.Take((int)index.Value)]);
    }
}
