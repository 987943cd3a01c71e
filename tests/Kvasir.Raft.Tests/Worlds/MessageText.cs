using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Tests.Worlds;

/// <summary>A message in one line, as scripts show it.</summary>
internal static class MessageText
{
    public static string Of(Envelope envelope) => Of(envelope.Message);

    public static string Of(in RaftMessage m)
    {
        string no = m.Rejects ? " no" : "";
        string force = (m.Flags & MessageFlags.Force) != 0 ? " forced" : "";
        string quiesce = (m.Flags & MessageFlags.Quiesce) != 0 ? " quiet" : "";
        string transferring = (m.Flags & MessageFlags.Transferring) != 0 ? " transferring" : "";
        string head = $"{m.From}->{m.To} {m.Kind} t{m.Term}{no}{force}{quiesce}{transferring}";
        return m.Kind switch
        {
            MessageKind.PreVote or MessageKind.Vote => $"{head} log {m.Index}/t{m.LogTerm}",
            MessageKind.Append => $"{head} after {m.Index}/t{m.LogTerm}{Entries(m)} commit {m.Commit}",
            MessageKind.AppendResponse when m.Rejects && m.Index == LogIndex.Zero && m.LastIndex == LogIndex.Zero => head,
            MessageKind.AppendResponse when m.Rejects => $"{head} {m.Index} try {m.LastIndex}/t{m.LogTerm}",
            MessageKind.AppendResponse => $"{head} {m.Index}",
            MessageKind.Heartbeat => $"{head} round {m.Round} commit {m.Commit}",
            MessageKind.HeartbeatResponse => $"{head} round {m.Round}",
            MessageKind.SnapshotOffer => $"{head} {m.Index}/t{m.LogTerm}",
            _ => head,
        };
    }

    private static string Entries(in RaftMessage m) =>
        !m.HasEntries ? "" : m.Configuration is not null ? $" {m.Configuration}" : $" {m.Index.Next}..{m.LastIndex}/t{m.EntryTerm}";
}
