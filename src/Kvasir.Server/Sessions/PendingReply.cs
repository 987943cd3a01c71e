using System.Buffers;
using Kvasir.Primitives;

namespace Kvasir.Server.Sessions;

/// <summary>
/// A reply that another node makes, or several, and its place in a session's output. Completed once, inside the mailbox;
/// taken by the session's owner.
/// </summary>
internal sealed class PendingReply(RespSession session) : IReplySink
{
    private byte[] _bytes = [];
    private int _length;
    private volatile bool _isThere;

    public RespSession Session { get; } = session;

    /// <summary>It was completed. Any thread.</summary>
    public bool IsThere => _isThere;

    /// <summary>Copies the reply; whoever calls it says <see cref="ServerState.WakeNow"/> behind the last one. Inside the mailbox.</summary>
    public void Replied(ReadOnlySpan<byte> reply)
    {
        Check.That(!_isThere, $"a reply came twice");
        if (reply.Length != 0)
        {
            _bytes = ArrayPool<byte>.Shared.Rent(reply.Length);
            reply.CopyTo(_bytes);
            _length = reply.Length;
        }

        Session.RepliesOwed--;
        _isThere = true;
        Session.Owner.WakeLater(Session);
    }

    /// <summary>By the session's owner, once.</summary>
    public void MoveTo(BytesBuffer output)
    {
        output.Append(_bytes.AsSpan(0, _length));
        if (_bytes.Length != 0)
            ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = [];
    }
}
