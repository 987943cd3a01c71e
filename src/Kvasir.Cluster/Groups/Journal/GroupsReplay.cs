using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;

namespace Kvasir.Cluster.Groups.Journal;

/// <summary>
/// Makes the logs of all groups from the records of a journal. What does not fit together stops the start: the journal's
/// checksums were right, so it is a defect or foreign bytes, and nothing that could be served.
/// </summary>
internal sealed class GroupsReplay(string folder)
{
    private readonly SortedList<GroupId, RecoveredLog> _logs = [];

    public IEnumerable<GroupLog> Logs => _logs.Values.Select(log => log.Log);

    /// <summary>Of a group that has a trace here.</summary>
    public GroupLog this[GroupId group] => _logs[group].Log;

    public void Record(LogPosition position, ReadOnlySpan<byte> payload)
    {
        ulong start = JournalReader.StartOf(position, payload.Length).Value;
        var sections = new JournalPayloadReader(payload);
        while (sections.MoveNext())
        {
            var group = new GroupId(sections.StreamId);
            if (group.IsNone || sections.Bytes.IsEmpty)
                throw Wrong(position, group, "an empty section, or one of nobody");
            if (!_logs.TryGetValue(group, out RecoveredLog? log))
                _logs.Add(group, log = new RecoveredLog(group));
            if (log.Take((SectionKind)sections.Bytes[0], sections.Bytes[1..], start) is { } wrong)
                throw Wrong(position, group, wrong);
        }

        if (sections.Malformed)
            throw Wrong(position, GroupId.None, "the sections of the record do not fill it");
    }

    /// <summary>Once all was replayed: what the members of the groups are made from.</summary>
    public SortedList<GroupId, RaftRecovery> ToRecoveries(NodeId self)
    {
        var recoveries = new SortedList<GroupId, RaftRecovery>();
        foreach ((GroupId group, RecoveredLog log) in _logs)
        {
            if (!log.IsAnchored)
                throw new CorruptionException($"{folder} is damaged: nothing in it says where the log of group {group} begins");
            if (!log.Log.IsRemoved)
                recoveries.Add(group, log.ToRecovery(self));
        }

        return recoveries;
    }

    private CorruptionException Wrong(LogPosition position, GroupId group, string wrong) =>
        new($"{folder} is damaged: the record at position {position}, group {group}: {wrong}");
}
