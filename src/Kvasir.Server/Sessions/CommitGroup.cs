using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;

namespace Kvasir.Server.Sessions;

/// <summary>
/// Commands of one pipeline that share a log record. Each would be one by itself; but what a client sent together and
/// nobody can see in between costs one record and one publication as well as many. The group begins with the first command
/// that writes, takes in those that follow it on the same log, reads too, and ends before anything that is not made for it,
/// at a size, and at the end of the run. Its replies wait for its record together. If it cannot be logged, nothing of it
/// has happened, and no reply of it leaves. Inside the mailbox.
/// </summary>
internal sealed class CommitGroup(SessionOutput output)
{
    /// <summary>A record of this size costs so little beside its content that a larger one would bring nothing.</summary>
    private const int BytesMax = 32 << 10;

    private bool _isOpen;
    private int _start;
    private int _replies;
    private Gate _gate;

    /// <summary>Before a command that may join the group if its log is the group's.</summary>
    public void EndUnless(Execution execution, IReplicaLog log)
    {
        if (_isOpen && !ReferenceEquals(execution.StagedLog, log))
            End(execution);
    }

    /// <summary>After each command, whose reply, if any, begins at <paramref name="start"/>.</summary>
    public void Add(Execution execution, int start, bool reads)
    {
        Gate gate = execution.TakeGate();
        int staged = execution.StagedBytes;
        bool answered = output.Buffer.Length > start;
        if (!_isOpen)
        {
            if (staged == 0)
            {
                if (answered && gate.Log is { } log && reads)
                    output.AddReadGate(log, gate.Position, start);
                else if (answered && gate.Log is { } written)
                    output.AddGate(written, gate.Position, start, 1);
                return;
            }

            _isOpen = true;
            _start = start;
        }

        if (answered)
            _replies++;
        if (gate.Position > _gate.Position)
            _gate = gate;
        if (staged > BytesMax)
            End(execution);
    }

    /// <summary>Logs and publishes what was staged, and lets the replies wait for it.</summary>
    public void End(Execution execution)
    {
        if (!_isOpen)
            return;
        execution.Commit();
        Gate gate = execution.TakeGate();
        if (gate.Position < _gate.Position)
            gate = _gate;
        if (_replies != 0 && gate.Log is { } log)
            output.AddGate(log, gate.Position, _start, _replies);
        Clear();
    }

    /// <summary>
    /// The disk failed under the command whose reply would begin at <paramref name="start"/>, or under the record: takes back
    /// what the group staged and replied. True: there was no group, so that no other command has lost its reply.
    /// </summary>
    public bool Abandon(Execution execution, int start)
    {
        bool alone = !_isOpen;
        execution.Abandon();
        execution.TakeGate();
        output.Buffer.Truncate(alone ? start : _start);
        Clear();
        return alone;
    }

    private void Clear()
    {
        _isOpen = false;
        _replies = 0;
        _gate = default;
    }
}
