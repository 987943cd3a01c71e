using System.Text;
using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Tests.Worlds;

/// <summary>
/// Plays a script: blocks of a few command lines, a line of dashes, and what happened, parted by empty lines. In the style
/// of etcd-io/raft's interaction tests. Heartbeats are left out unless asked for.
/// </summary>
internal sealed class ScriptRunner
{
    private readonly StringBuilder _output = new();
    private readonly HashSet<(ulong From, ulong To)> _cut = [];
    private RaftSettings _settings = new() { QuiesceAfter = TimeSpan.MaxValue };
    private World? _world;
    private bool _showsHeartbeats;

    private World World => _world ??= new World(_settings) { Trace = Trace };

    /// <summary>The script with the output that it gives now.</summary>
    public static string Play(string script)
    {
        var runner = new ScriptRunner();
        var result = new StringBuilder();
        foreach (string block in script.Replace("\r", "", StringComparison.Ordinal).Trim('\n').Split("\n\n"))
        {
            string[] lines = block.Split('\n');
            string[] commands = [.. lines.TakeWhile(l => l != "----")];
            result.AppendJoin('\n', commands).Append('\n');
            string[] words = [.. commands.Where(c => !c.StartsWith('#'))];
            if (words.Length > 0)
                result.Append("----\n").Append(runner.Run(words));
            result.Append('\n');
        }

        return result.ToString().TrimEnd('\n') + "\n";
    }

    private string Run(string[] commands)
    {
        _output.Clear();
        foreach (string command in commands)
            Do(command.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        return _output.Length == 0 ? "ok\n" : _output.ToString();
    }

    private void Do(string[] words)
    {
        ulong id = words.Length > 1 && ulong.TryParse(words[1], out ulong first) ? first : 0;
        switch (words[0])
        {
            case "quiesce-after":
                _settings = _settings with { QuiesceAfter = Time(words[1]) };
                break;
            case "window":
                _settings = _settings with { InflightMessagesMax = int.Parse(words[1]), AppendBytesMax = int.Parse(words[2]) };
                break;
            case "promotion-lag":
                _settings = _settings with { PromotionLagMax = int.Parse(words[1]) };
                break;
            case "show-heartbeats":
                _showsHeartbeats = true;
                break;
            case "hide-heartbeats":
                _showsHeartbeats = false;
                break;
            case "founders":
                foreach (ulong founder in Numbers(words[1..]))
                    World.Add(founder, new Configuration(World.Ids([.. Numbers(words[1..])])));
                break;
            case "joining":
                World.Add(id, new DurableState());
                break;
            case "member":
                AddWithLog(id, words[2..]);
                break;
            case "campaign":
                World[id].Raft.Campaign(World.Now);
                World.Drain();
                break;
            case "elect":
                World[id].Raft.Campaign(World.Now);
                Settle();
                break;
            case "propose":
                Say(World[id].Propose(World.Now, words[2..]));
                World.Drain();
                break;
            case "configure":
                Configure(id, words[2..]);
                break;
            case "transfer":
                Say(World[id].Raft.TryTransferLeadership(World.Now, new MemberId(ulong.Parse(words[2]))) ? "begun" : "refused");
                World.Drain();
                break;
            case "read":
                Say(World[id].Raft.RequestRead(World.Now) is { IsAccepted: true } ticket ? $"batch {ticket.Batch}" : "refused");
                World.Drain();
                break;
            case "lease":
                Say(World[id].Raft.TryLeaseRead(World.Now, out LogIndex index) ? $"holds, at {index}" : "none");
                break;
            case "age":
                Say(World[id].Raft.TryAge(World.Now, out TimeSpan age) ? $"at most {age.TotalMilliseconds} ms" : "unknown");
                break;
            case "sync":
                World[id].Sync(World.Now);
                World.Drain();
                break;
            case "deliver":
                Deliver(words[1..]);
                break;
            case "drop":
                World.Wire.RemoveAll(e => Matches(e.Message, words[1..]));
                break;
            case "settle":
                Settle();
                break;
            case "run":
                Pass(Time(words[1]));
                break;
            case "wait":
                World.Advance(Time(words[1]));
                World.Tick();
                break;
            case "cut":
                foreach (ulong a in Numbers(words[1..]))
                {
                    foreach (TestMember b in World.Members)
                    {
                        if (!Numbers(words[1..]).Contains(b.Id.Value))
                            _cut.UnionWith([(a, b.Id.Value), (b.Id.Value, a)]);
                    }
                }

                break;
            case "mend":
                _cut.Clear();
                break;
            case "crash":
                World[id].Crash();
                break;
            case "restart":
                World[id].Restart(World.Now);
                World.Drain();
                break;
            case "compact":
                Say($"log of {id} begins behind {World[id].Compact()!.Index}");
                break;
            case "prefer-snapshot":
                Say(World[id].Raft.TryPreferSnapshot(World.Now, new MemberId(ulong.Parse(words[2]))) ? "preferred" : "not preferred");
                World.Drain();
                break;
            case "snapshot-failed":
                World[id].Raft.SnapshotFinished(World.Now, new MemberId(ulong.Parse(words[2])), LogIndex.Zero);
                break;
            case "unreachable":
                World[id].Raft.PeerUnreachable(World.Now, new MemberId(ulong.Parse(words[2])));
                World.Drain();
                break;
            case "suspect":
                World[id].Raft.PeerSuspected(World.Now, new MemberId(ulong.Parse(words[2])));
                World.Drain();
                break;
            case "alive":
                World[id].Raft.PeerAlive(World.Now, new MemberId(ulong.Parse(words[2])));
                World.Drain();
                break;
            case "stall":
                World[id].Raft.DiskStalled(World.Now);
                World.Drain();
                break;
            case "wire":
                foreach (Envelope envelope in World.Wire)
                    Say(MessageText.Of(envelope));
                break;
            case "status":
                foreach (TestMember member in World.Members)
                    Say(Status(member));
                break;
            case "progress":
                foreach (TestMember member in World.Members)
                {
                    if (World[id].Raft.TryFollower(member.Id, out FollowerStatus f))
                        Say($"{f.Id} {f.State} match {f.MatchIndex} next {f.NextIndex} inflight {f.InflightMessages}/{f.InflightBytes}");
                }

                break;
            case "log":
                foreach (TestMember member in World.Members)
                    Say($"{member.Id} behind {member.Base}: {string.Join(' ', member.Entries)}");
                break;
            default:
                Assert.Fail($"the script says {words[0]}, and nobody knows what that is");
                break;
        }
    }

    private static string Status(TestMember member)
    {
        RaftMember raft = member.Raft;
        string down = member.IsDown ? " down" : raft.IsQuiesced ? " quiet" : "";
        return $"{member.Id} {raft.Role} t{raft.Term} leader {raft.Leader} last {raft.LastIndex} commit {raft.CommitIndex} {raft.Configuration}{down}";
    }

    private void AddWithLog(ulong id, string[] words)
    {
        int of = Array.IndexOf(words, "of"), terms = Array.IndexOf(words, "log"), term = Array.IndexOf(words, "term");
        var disk = new DurableState();
        disk.Base = disk.Base with
        {
            Configuration = new(LogIndex.Zero, Term.Zero, new Configuration(World.Ids([.. Numbers(words[(of + 1)..terms])]))),
        };
        LogEntry[] entries = [.. Numbers(words[(terms + 1)..term]).Select(t => Bench.Entry(t))];
        disk.Write(new DiskWrite(
            new PersistRequest
            {
                Write = new WriteNumber(1),
                HardState = new HardState(new Term(ulong.Parse(words[term + 1])), MemberId.None),
                First = new LogIndex(1),
                Last = new LogIndex((ulong)entries.Length),
            },
            entries, null));
        World.Add(id, disk);
    }

    private void Configure(ulong id, string[] words)
    {
        int learners = Array.IndexOf(words, "learners");
        string[] voters = learners < 0 ? words : words[..learners];
        Say(World[id].Raft.ProposeConfiguration(
            World.Now, World.Ids([.. Numbers(voters.Skip(1))]), World.Ids([.. Numbers(learners < 0 ? [] : words[(learners + 1)..])])));
        World.Drain();
    }

    private void Settle() => World.Settle(IsCut);

    private bool IsCut(Envelope envelope) => _cut.Contains((envelope.Message.From.Value, envelope.Message.To.Value));

    private void Pass(TimeSpan time)
    {
        TimeSpan end = World.Now + time;
        while (World.Now < end)
        {
            World.Advance(TimeSpan.FromMilliseconds(5));
            World.Tick();
            Settle();
        }
    }

    /// <summary>All messages that are on their way now and match arrive; what they cause stays on its way.</summary>
    private void Deliver(string[] words)
    {
        Envelope[] due = [.. World.Wire.Where(e => Matches(e.Message, words))];
        World.Wire.RemoveAll(e => Matches(e.Message, words));
        foreach (Envelope envelope in due)
        {
            if (!IsCut(envelope))
                World.Deliver(envelope);
        }
    }

    private static bool Matches(in RaftMessage message, string[] words)
    {
        foreach (string word in words)
        {
            string[] pair = word.Split("->");
            bool matches = pair.Length == 2
                ? (pair[0].Length == 0 || ulong.Parse(pair[0]) == message.From.Value) && (pair[1].Length == 0 || ulong.Parse(pair[1]) == message.To.Value)
                : message.Kind.ToString() == word;
            if (!matches)
                return false;
        }

        return true;
    }

    private void Trace(string line)
    {
        if (_showsHeartbeats || !line.Contains(" Heartbeat", StringComparison.Ordinal))
            Say(line);
    }

    private void Say(ProposeOutcome outcome) =>
        Say(outcome.IsAccepted ? $"accepted at {outcome.First}/t{outcome.Term}" : $"{outcome.Status}, leader {outcome.Leader}");

    private void Say(string line) => _output.Append(line).Append('\n');

    private static IEnumerable<ulong> Numbers(IEnumerable<string> words) => words.Select(ulong.Parse);

    private static TimeSpan Time(string word) => TimeSpan.FromMilliseconds(int.Parse(word.Replace("ms", "", StringComparison.Ordinal)));
}
