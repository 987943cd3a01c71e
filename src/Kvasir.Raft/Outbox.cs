using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft;

/// <summary>
/// Messages that wait for the driver to ask, or for the term and the vote to be durable: whoever receives one may conclude
/// that its sender is in that term and has given that vote, even after a crash.
/// </summary>
internal sealed class Outbox
{
    private RaftMessage[] _messages = [];
    private int _count;

    public bool IsEmpty => _count == 0;

    /// <summary>Takes a message; a held one of the same kind to the same member is superseded, which bounds what is held.</summary>
    public void Add(in RaftMessage message, bool held)
    {
        if (held)
        {
            for (int i = 0; i < _count; i++)
            {
                if (_messages[i].Kind != message.Kind || _messages[i].To != message.To)
                    continue;
                _messages[i] = message;
                return;
            }
        }

        if (_count == _messages.Length)
            Array.Resize(ref _messages, Math.Max(4, _count * 2));
        _messages[_count++] = message;
    }

    /// <summary>Drops what was said in an earlier term: it would be ignored, or it is no longer true.</summary>
    public void DropBefore(Term term)
    {
        int kept = 0;
        for (int i = 0; i < _count; i++)
        {
            if (_messages[i].Term >= term)
                _messages[kept++] = _messages[i];
        }

        Array.Clear(_messages, kept, _count - kept);
        _count = kept;
    }

    public bool HasSendable(bool hardStateSynced)
    {
        if (hardStateSynced)
            return _count > 0;
        for (int i = 0; i < _count; i++)
        {
            if (_messages[i].PromisesNothing)
                return true;
        }

        return false;
    }

    public void MoveTo(List<RaftMessage> destination, bool hardStateSynced)
    {
        int kept = 0;
        for (int i = 0; i < _count; i++)
        {
            if (hardStateSynced || _messages[i].PromisesNothing)
                destination.Add(_messages[i]);
            else
                _messages[kept++] = _messages[i];
        }

        Array.Clear(_messages, kept, _count - kept);
        _count = kept;
    }

    public void Trim()
    {
        if (_count == 0)
            _messages = [];
    }
}
