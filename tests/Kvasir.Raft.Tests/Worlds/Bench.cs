using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Tests.Worlds;

/// <summary>
/// One member alone on a bench, number 1 of the voters 1 to 3 unless said otherwise: messages are handed to it by the test, and
/// what it sends is collected. Its disk is quick unless told to wait.
/// </summary>
internal sealed class Bench
{
    private readonly List<RaftMessage> _sent = [];

    public Bench(string log = "", ulong term = 0, ulong vote = 0, Configuration? configuration = null, RaftSettings? settings = null, ulong seed = 7)
    {
        Settings = settings ?? new RaftSettings { QuiesceAfter = TimeSpan.MaxValue };
        var disk = new DurableState();
        disk.Base = disk.Base with
        {
            Configuration = new(LogIndex.Zero, default(Term), configuration ?? new Configuration(World.Ids(1, 2, 3))),
        };
        LogEntry[] entries = [.. log.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(t => Entry(ulong.Parse(t)))];
        var inTerm = new Term(Math.Max(term, entries.Length == 0 ? 0 : entries[^1].Term.Value));
        if (inTerm > default(Term))
        {
            disk.Write(new DiskWrite(
                new PersistRequest
                {
                    Write = new WriteNumber(1),
                    HardState = new HardState(inTerm, new MemberId(vote)),
                    First = new LogIndex(1),
                    Last = new LogIndex((ulong)entries.Length),
                },
                entries, null));
        }

        Member = new TestMember(Settings, disk, new MemberId(1), seed, Now);
    }

    public RaftSettings Settings { get; }

    public TimeSpan Now { get; private set; } = TimeSpan.FromSeconds(100);

    public bool DiskWaits { get; set; }

    public TestMember Member { get; }

    public RaftMember Raft => Member.Raft;

    /// <summary>All that was sent since the last time this was asked.</summary>
    public List<RaftMessage> Sent
    {
        get
        {
            List<RaftMessage> sent = [.. _sent];
            _sent.Clear();
            return sent;
        }
    }

    /// <summary>The log's terms, as in <c>1 1 2</c>.</summary>
    public string Log => string.Join(' ', Member.Entries.Select(e => e.Term));

    public static LogEntry Entry(ulong term, string data = "x") => new(new Term(term), EntryKind.Normal, data);

    public void Drain()
    {
        Member.Drain(Now, e => _sent.Add(e.Message));
        while (!DiskWaits && Member.Sync(Now))
            Member.Drain(Now, e => _sent.Add(e.Message));
    }

    public void Sync()
    {
        Member.Sync(Now);
        Drain();
    }

    public void Advance(double milliseconds)
    {
        Now += TimeSpan.FromMilliseconds(milliseconds);
        Raft.Tick(Now);
        Drain();
    }

    public void AdvanceTo(TimeSpan time)
    {
        Now = time;
        Raft.Tick(Now);
        Drain();
    }

    /// <summary>Faith owed since the start is over; no deadline has been looked at.</summary>
    public Bench Rested()
    {
        Now += Settings.ElectionTimeout;
        return this;
    }

    public RaftMessage? Receive(
        MessageKind kind, ulong from, ulong term, ulong index = 0, ulong logTerm = 0, ulong commit = 0, ulong last = 0,
        MessageFlags flags = MessageFlags.None, ulong round = 0)
    {
        Receive(new RaftMessage
        {
            Kind = kind,
            From = new MemberId(from),
            To = new MemberId(1),
            Term = new Term(term),
            Index = new LogIndex(index),
            LogTerm = new Term(logTerm),
            LastIndex = new LogIndex(last),
            Commit = new LogIndex(commit),
            Flags = flags,
            Round = round,
        });
        List<RaftMessage> sent = [.. _sent.Where(m => m.To.Value == from)];
        _sent.Clear();
        return sent.Count == 0 ? null : sent[^1];
    }

    /// <summary>An append after (<paramref name="index"/>, <paramref name="logTerm"/>) of so many entries of one term.</summary>
    public RaftMessage? Append(ulong from, ulong term, ulong index, ulong logTerm, int entries = 0, ulong entryTerm = 0, ulong commit = 0)
    {
        var message = new RaftMessage
        {
            Kind = MessageKind.Append,
            From = new MemberId(from),
            To = new MemberId(1),
            Term = new Term(term),
            Index = new LogIndex(index),
            LogTerm = new Term(logTerm),
            LastIndex = new LogIndex(index + (ulong)entries),
            EntryTerm = new Term(entryTerm == 0 ? term : entryTerm),
            Commit = new LogIndex(commit),
        };
        if (entries == 0)
            message.EntryTerm = message.LogTerm;
        Member.Receive(Now, new Envelope(message, [.. Enumerable.Repeat(Entry(message.EntryTerm.Value), entries)]));
        Drain();
        List<RaftMessage> sent = [.. _sent.Where(m => m.To.Value == from)];
        _sent.Clear();
        return sent.Count == 0 ? null : sent[^1];
    }

    public void Receive(RaftMessage message)
    {
        Member.Receive(Now, new Envelope(message, []));
        Drain();
    }

    /// <summary>Time passes, and the member is not told.</summary>
    public void PassUnseen(double milliseconds) => Now += TimeSpan.FromMilliseconds(milliseconds);

    /// <summary>Time passes until it campaigns, and these are for it.</summary>
    public Bench ElectedBy(params ulong[] voters)
    {
        AdvanceTo(Raft.WakeAt);
        foreach (ulong voter in voters)
        {
            if (Raft.Role == RaftRole.PreCandidate)
                Receive(MessageKind.PreVoteResponse, voter, Raft.Term.Next.Value);
        }

        foreach (ulong voter in voters)
        {
            if (Raft.Role == RaftRole.Candidate)
                Receive(MessageKind.VoteResponse, voter, Raft.Term.Value);
        }

        Assert.Equal(RaftRole.Leader, Raft.Role);
        return this;
    }

    /// <summary>Time passes until it campaigns, and voter 2 is for it. What it sends as leader is there to be seen.</summary>
    public Bench Elected()
    {
        AdvanceTo(Raft.WakeAt);
        if (Raft.Role == RaftRole.PreCandidate)
            Receive(MessageKind.PreVoteResponse, 2, Raft.Term.Next.Value);
        _sent.Clear();
        if (Raft.Role == RaftRole.Candidate)
            Receive(new RaftMessage { Kind = MessageKind.VoteResponse, From = new MemberId(2), To = new MemberId(1), Term = Raft.Term });
        Assert.Equal(RaftRole.Leader, Raft.Role);
        return this;
    }

    /// <summary>Voter 2 (or another) has everything up to here.</summary>
    public void Acknowledge(ulong index, ulong from = 2) => Receive(new RaftMessage { Kind = MessageKind.AppendResponse, From = new MemberId(from), To = new MemberId(1), Term = Raft.Term, Index = new LogIndex(index) });
}
