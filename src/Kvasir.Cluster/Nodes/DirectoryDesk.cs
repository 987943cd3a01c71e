using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Nodes;

/// <summary>What became of a request to the directory.</summary>
internal enum DeskOutcome
{
    Done,

    /// <summary>It makes no sense, or not now; the text says why.</summary>
    Refused,

    /// <summary>This node does not lead the directory: it has not happened, and will not.</summary>
    NotLeader,

    /// <summary>Leadership was lost while it was under way.</summary>
    Unknown,
}

internal delegate DirectoryDecision DirectoryRequest(DirectoryView view);

internal delegate void DeskAnswer(DeskOutcome outcome, string? refusal);

/// <summary>
/// Changes to the directory, one at a time: each is decided on what is applied, proposed as one entry, and answered when that is
/// applied here; then comes the next. Inside the mailbox.
/// </summary>
internal sealed class DirectoryDesk(RaftGroup group, Func<DirectoryRecords> records)
{
    private readonly Queue<(DirectoryRequest Request, DeskAnswer Answer)> _waiting = new();
    private DeskAnswer? _underWay;
    private LogPosition _position;

    public bool IsIdle => _underWay is null && _waiting.Count == 0;

    /// <summary>Answered when the change is applied, or at once when there is none to make.</summary>
    public void Ask(Execution execution, DirectoryRequest request, DeskAnswer answer)
    {
        _waiting.Enqueue((request, answer));
        Next(execution);
    }

    /// <summary>Entries of the directory may have been applied.</summary>
    public void Look(Execution execution)
    {
        if (_underWay is { } answer && group.DurablePosition >= _position)
        {
            _underWay = null;
            answer(DeskOutcome.Done, null);
        }

        Next(execution);
    }

    /// <summary>This node no longer leads the directory; what lies behind <paramref name="safe"/> may come to be, or not.</summary>
    public void Lost(LogPosition safe)
    {
        if (_underWay is not { } answer)
            return;
        _underWay = null;
        answer(_position <= safe ? DeskOutcome.Done : DeskOutcome.Unknown, null);
    }

    private void Next(Execution execution)
    {
        while (_underWay is null && _waiting.TryDequeue(out (DirectoryRequest Request, DeskAnswer Answer) next))
        {
            if (group.Refusal is not null)
            {
                next.Answer(DeskOutcome.NotLeader, null);
                continue;
            }

            DirectoryDecision decision = next.Request(records().View);
            if (decision.IsRefused || decision.Changes.Count == 0)
            {
                next.Answer(decision.IsRefused ? DeskOutcome.Refused : DeskOutcome.Done, decision.Refusal);
                continue;
            }

            if (!TryPropose(execution, decision))
            {
                next.Answer(DeskOutcome.NotLeader, null);
                continue;
            }

            (_underWay, _position) = (next.Answer, group.AppendedPosition);
        }
    }

    private bool TryPropose(Execution execution, in DirectoryDecision decision)
    {
        try
        {
            foreach (DirectoryChange change in decision.Changes)
            {
                if (change.Value is null)
                    execution.Delete(group.Replica, change.Key);
                else
                    execution.Put(group.Replica, change.Key, [], change.Value, expiresAtMs: 0);
            }

            execution.Commit();
            execution.TakeGate();
            return true;
        }
        catch (StorageException)
        {
            execution.Abandon();
            execution.TakeGate();
            return false;
        }
    }
}
