using System.Buffers;
using Kvasir.Cluster.Groups;
using Kvasir.Primitives;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Forwarding;

/// <summary>A request that has no reply yet, with its bytes, so that it can be sent again where that is safe.</summary>
internal sealed class SentRequest
{
    private static readonly byte[] s_notLeader = "-NOTLEADER"u8.ToArray();
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

    /// <summary>After it, it is not sent again.</summary>
    public long DeadlineMs { get; }

    public int Length => _length;

    public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, _length);

    /// <summary>Replies that are still to be dropped before its own.</summary>
    public int RepliesToDrop { get; set; }

    /// <summary>
    /// It may be sent again although it was sent: no later request of the same client can have gone before it.
    /// </summary>
    public bool IsLastOfItsSession => Session is null || Session.RepliesOwed <= (Sink is PendingReply ? 1 : 0);

    /// <summary>A reply that says that nothing has happened, because its node does not lead.</summary>
    public static bool IsNotLeader(ReadOnlySpan<byte> reply) => reply.StartsWith(s_notLeader) || reply.StartsWith(s_blockNotLeader);

    public void Answer(ReadOnlySpan<byte> reply)
    {
        Check.That(!_answered, $"a request was answered twice");
        _answered = true;
        ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = [];
        Sink?.Replied(reply);
    }
}
