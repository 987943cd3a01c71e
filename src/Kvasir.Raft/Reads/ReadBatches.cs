using Kvasir.Primitives;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Reads;

/// <summary>
/// Where a read waits for its turn: it may be answered once <see cref="ReadReady"/> reports this batch (or a later one) of the
/// same term. When the member is no longer leader in that term, it never will be.
/// </summary>
public readonly record struct ReadTicket(Term Term, ulong Batch)
{
    /// <summary>False when the member was not leader: there is nothing to wait for.</summary>
    public bool IsAccepted => Batch != 0;
}

/// <summary>All reads of batches up to this one are linearizable once <see cref="Index"/> is applied.</summary>
public readonly record struct ReadReady(Term Term, ulong Batch, LogIndex Index);

/// <summary>
/// Reads that wait for a heartbeat round to show that this leader was still one after they came (thesis, 6.4). All that come
/// between two rounds share one: a read costs no memory here, only a number.
/// </summary>
internal sealed class ReadBatches
{
    /// <summary>Rounds with reads that may be out at once; reads beyond them gather in the next batch.</summary>
    private const int InFlightMax = 4;

    private readonly Asked[] _asked = new Asked[InFlightMax];
    private int _count;
    private ulong _open = 1;
    private bool _waiting;

    public bool IsIdle => _count == 0 && !_waiting;

    /// <summary>Reads wait for a round and one may start.</summary>
    public bool WantsRound => _waiting && _count < InFlightMax;

    /// <summary>A read has come; gives its batch.</summary>
    public ulong Join()
    {
        _waiting = true;
        return _open;
    }

    /// <summary>A round starts that serves everything which waits; <paramref name="commit"/> is the index as of now.</summary>
    public void RoundStarts(ulong round, LogIndex commit)
    {
        if (!WantsRound)
            return;
        Check.That(_count == 0 || (_asked[_count - 1].Round < round && _asked[_count - 1].Commit <= commit));
        _asked[_count++] = new Asked(round, _open++, commit);
        _waiting = false;
    }

    /// <summary>A majority has answered this round, and so every one before; gives the newest batch that is served thereby.</summary>
    public bool Confirmed(ulong round, out ulong batch, out LogIndex index)
    {
        int served = 0;
        while (served < _count && _asked[served].Round <= round)
            served++;
        batch = served == 0 ? 0 : _asked[served - 1].Batch;
        index = served == 0 ? LogIndex.Zero : _asked[served - 1].Commit;
        if (served == 0)
            return false;
        Array.Copy(_asked, served, _asked, 0, _count - served);
        _count -= served;
        return true;
    }

    private readonly record struct Asked(ulong Round, ulong Batch, LogIndex Commit);
}
