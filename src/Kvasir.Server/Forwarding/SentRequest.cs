using System.Buffers;
using System.Buffers.Text;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Forwarding;

/// <summary>A request that has no reply yet, with its bytes, so that it can be sent again where that is safe.</summary>
internal sealed class SentRequest
{
    private static readonly byte[] s_notLeader = "-NOTLEADER"u8.ToArray();
    private static readonly byte[] s_lost = "-TIMEOUT outcome unknown: leadership of the shard"u8.ToArray();
    private static readonly byte[] s_lostRead = "-TRYAGAIN what was read is not certain: leadership"u8.ToArray();
    private static readonly byte[] s_blockNotLeader = "-EXECABORT Transaction discarded because of: NOTLEADER"u8.ToArray();

    private byte[] _bytes;
    private readonly int _length;
    private bool _answered;

    public SentRequest(in ForwardedRequest request, long deadlineMs)
    {
        Group = request.Group;
        Database = request.Database;
        Protocol = request.Protocol;
        RepliesBefore = request.RepliesBefore;
        Writes = request.Writes;
        Sink = request.Sink;
        Lane = request.Lane;
        Session = request.Session;
        DeadlineMs = deadlineMs;
        _length = request.Bytes.Length;
        _bytes = ArrayPool<byte>.Shared.Rent(_length);
        request.Bytes.CopyTo(_bytes);
    }

    public GroupId Group { get; }

    public int Database { get; }

    public int Protocol { get; }

    public int RepliesBefore { get; }

    public bool Writes { get; }

    public IReplySink? Sink { get; }

    public RespSession? Session { get; }

    public WatchLane? Lane { get; }

    /// <summary>By which its node knows it again, if it writes.</summary>
    public WriteId Id { get; set; }

    /// <summary>Up to here its shard's log was committed before it was sent for the first time.</summary>
    public LogPosition Known { get; set; }

    /// <summary>It writes, was sent, and may have happened: it keeps its number.</summary>
    public bool IsUnknown { get; set; }

    /// <summary>After it, it is not sent again.</summary>
    public long DeadlineMs { get; }

    /// <summary>Before it, it is not sent again: two nodes that each take the other for the leader would get it without end.</summary>
    public long NotBeforeMs { get; set; }

    /// <summary>How often it found no leader.</summary>
    public int Misses { get; set; }

    public int Length => _length;

    public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, _length);

    /// <summary>Replies that are still to be dropped before its own.</summary>
    public int RepliesToDrop { get; set; }

    /// <summary>A later write of the same client may have happened: sent again, it could see it.</summary>
    public bool IsOvertaken { get; set; }

    /// <summary>A reply that says that nothing has happened, because its node does not lead.</summary>
    public static bool IsNotLeader(ReadOnlySpan<byte> reply) => reply.StartsWith(s_notLeader) || reply.StartsWith(s_blockNotLeader);

    /// <summary>A reply that says that its node has lost the lead, and does not know what becomes of the write, or of one that was read.</summary>
    public static bool IsLost(ReadOnlySpan<byte> reply) => reply.StartsWith(s_lost) || reply.StartsWith(s_lostRead);

    /// <summary>Who leads instead, as that reply says; nobody when it does not say.</summary>
    public static NodeId LeaderIn(ReadOnlySpan<byte> reply)
    {
        ReadOnlySpan<byte> line = reply.TrimEnd("\r\n"u8);
        ReadOnlySpan<byte> word = line[(line.LastIndexOf((byte)' ') + 1)..];
        return Utf8Parser.TryParse(word, out ulong id, out int used) && used == word.Length ? new NodeId(id) : NodeId.None;
    }

    public void Answer(ReadOnlySpan<byte> reply)
    {
        Check.That(!_answered, $"a request was answered twice");
        _answered = true;
        ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = [];
        Sink?.Replied(reply);
    }
}
