using System.Text;
using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Replicas;
using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>KEYSPACE CONVERT: a keyspace moves to another engine in the background; it can be watched, and ended before its time.</summary>
internal static class ConversionCommand
{
    public static CommandDefinition Definition => new()
    {
        Name = "convert",
        Arity = -4,
        Flags = CommandFlags.Admin | CommandFlags.NoMulti,
        Handler = Run,
        Group = "cluster",
    };

    private static void Run(CommandContext context)
    {
        string name = Text(context, 2);
        string word = Text(context, 3);
        if (context.Node.Alone is not { } node)
            RunInCluster(context, context.Node.Clustered!.Administration, name, word);
        else if (context.ArgumentCount == 4 && Is(word, "status"))
            WriteStatus(context, node.ConversionOf(name));
        else if (context.ArgumentCount == 4 && Is(word, "abort"))
            Answer(context, node.AbortConversion(name));
        else if (context.ArgumentCount == 5 && Is(word, "engine"))
            Answer(context, node.BeginConversion(name, Text(context, 4)));
        else
            context.Reply.Error("ERR KEYSPACE CONVERT name engine NAME, or name STATUS, or name ABORT");
    }

    private static void RunInCluster(CommandContext context, IClusterAdministration administration, string name, string word)
    {
        if (context.ArgumentCount == 4 && Is(word, "status"))
            administration.ConversionOf(name, WriteLater(context));
        else if (context.ArgumentCount == 4 && Is(word, "abort"))
            administration.AbortConversion(name, AdministrationCommands.Later(context));
        else if (context.ArgumentCount == 5 && Is(word, "engine"))
            administration.ConvertKeyspace(name, Text(context, 4), AdministrationCommands.Later(context));
        else
            context.Reply.Error("ERR KEYSPACE CONVERT name engine NAME, or name STATUS, or name ABORT");
    }

    private static Action<MoveOverview?> WriteLater(CommandContext context)
    {
        ReplicaMailbox mailbox = context.Node.Mailbox;
        TimeProvider time = context.Node.Time;
        int protocol = context.Reply.Protocol;
        PendingReply? reply = context.Session.AwaitReply();
        byte[] name = context.Argument(2).ToArray();
        return overview =>
        {
            if (reply is not null)
                mailbox.Post(new StatusAnswer(reply, name, overview, protocol, time.GetUtcNow().ToUnixTimeMilliseconds()));
        };
    }

    private static void Answer(CommandContext context, string? refusal)
    {
        if (refusal is null)
            context.Reply.Ok();
        else
            context.Reply.Error("ERR " + refusal);
    }

    private static void WriteStatus(CommandContext context, ConversionStatus? status)
    {
        RespWriter reply = context.Reply;
        if (status is null)
        {
            if (context.FindKeyspace(context.Argument(2)) >= 0)
                reply.Null();
            else
                reply.Error(KeyspaceName.Unknown);
            return;
        }

        reply.MapHeader(12);
        Field(reply, "keyspace", status.Keyspace);
        Field(reply, "from", status.From);
        Field(reply, "to", status.To);
        Field(reply, "state", WordOf(status.Stage));
        Field(reply, "rows", status.Rows);
        Field(reply, "bytes", status.Bytes);
        Field(reply, "rows-estimated", status.RowsEstimated);
        Field(reply, "rows-compared", status.RowsCompared);
        Field(reply, "log-bytes-behind", status.LogBytesBehind);
        Field(reply, "checksum", status.Checksum ?? "");
        Field(reply, "reason", status.Reason ?? "");
        Field(reply, "elapsed-ms", (long)status.Elapsed.TotalMilliseconds);
    }

    public static string WordOf(ConversionStage stage) => stage switch
    {
        ConversionStage.Preparing => "preparing",
        ConversionStage.Copying => "copying",
        ConversionStage.CatchingUp => "catching-up",
        ConversionStage.Comparing => "comparing",
        ConversionStage.Switching => "switching",
        ConversionStage.Withdrawing => "withdrawing",
        ConversionStage.Done => "done",
        ConversionStage.Failed => "failed",
        ConversionStage.Aborted => "aborted",
        _ => "unknown",
    };

    private static void Field(RespWriter reply, string name, string value)
    {
        reply.BulkString(name);
        reply.BulkString(value);
    }

    private static void Field(RespWriter reply, string name, long value)
    {
        reply.BulkString(name);
        reply.Integer(value);
    }

    private static bool Is(string word, string wanted) => word.Equals(wanted, StringComparison.OrdinalIgnoreCase);

    private static string Text(CommandContext context, int argument) => Encoding.UTF8.GetString(context.Argument(argument));

    private sealed class StatusAnswer(PendingReply reply, byte[] name, MoveOverview? overview, int protocol, long nowMs) : IMailboxItem
    {
        public void Run(Execution execution)
        {
            RespWriter writer = new(new Primitives.BytesBuffer(1024)) { Protocol = protocol };
            if (overview is null && reply.Session.Server.Router!.Router.FindDatabase(name) < 0)
                writer.Error(KeyspaceName.Unknown);
            else
                MovePage.Write(writer, overview, nowMs);
            reply.Replied(writer.Buffer.WrittenSpan);
            reply.Session.Server.WakeNow();
        }
    }
}
