using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Server.Settings;
using Kvasir.Storage.Engines;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Sessions;

/// <summary>
/// What a command handler sees: its arguments, the database of its session, and where its reply goes. One a session,
/// reused for every command. Valid only while the session runs in the node's mailbox. Spans of arguments are valid until
/// the handler returns; spans of <see cref="Value"/> until the next read into it.
/// </summary>
internal sealed class CommandContext
{
    private byte[] _bytes = [];
    private int _origin;
    private ArgumentRange[] _arguments = [];

    public CommandContext(RespSession session, ServerState server, RespWriter reply)
    {
        Session = session;
        Server = server;
        Reply = reply;
    }

    public RespSession Session { get; }

    public ServerState Server { get; }

    public IServedNode Node => Server.Node;

    public RespWriter Reply { get; }

    /// <summary>Set by the session around each command.</summary>
    public Execution Execution { get; set; } = null!;

    public CommandEntry Entry { get; set; } = null!;

    public CommandDefinition Command => Entry.Definition;

    /// <summary>With the command's own name, which is argument 0.</summary>
    public int ArgumentCount { get; private set; }

    /// <summary>Scratch for values read from the engine.</summary>
    public BytesBuffer Value { get; } = new(16);

    /// <summary>Scratch for values being made.</summary>
    public BytesBuffer Scratch { get; } = new(16);

    /// <summary>The index that SELECT chose.</summary>
    public int DatabaseIndex => Session.DatabaseIndex;

    /// <summary>In a cluster: this node's replica of the shard that the command's keys are in. Null when alone.</summary>
    public Replica? Routed { get; set; }

    public Replica Database => Routed ?? Node.Database(Session.DatabaseIndex);

    /// <summary>Unix milliseconds; the same for the whole command, and for a whole MULTI block.</summary>
    public long NowMs { get; set; }

    public ReadOnlySpan<byte> Argument(int index)
    {
        Check.That((uint)index < (uint)ArgumentCount);
        ref readonly ArgumentRange range = ref _arguments[index];
        return _bytes.AsSpan(_origin + range.Offset, range.Length);
    }

    /// <summary>As <see cref="Database"/>, of any index. In a cluster only that of the selected one can be had.</summary>
    public Replica ReplicaOf(int database) => database == Session.DatabaseIndex ? Database : Node.Database(database);

    /// <summary>The database of a keyspace; -1 for none.</summary>
    public int FindKeyspace(ReadOnlySpan<byte> name) => Server.Router?.Router.FindDatabase(name) ?? Node.Alone!.FindKeyspace(name);

    /// <summary>Says that a key of the selected database was changed; see <see cref="KeyEvents"/>.</summary>
    public void Changed(KeyEventClass eventClass, ReadOnlySpan<byte> eventName, ReadOnlySpan<byte> key)
    {
        Server.Events.Modified(DatabaseIndex, key);
        Server.Events.Notify(eventClass, eventName, DatabaseIndex, key);
    }

    /// <summary>The command's arguments, to be given back with <see cref="RestoreArguments"/> after others ran in between.</summary>
    public SavedArguments SaveArguments() => new(_bytes, _origin, _arguments, ArgumentCount);

    public void RestoreArguments(in SavedArguments saved) => SetArguments(saved.Bytes, saved.Origin, saved.Ranges, saved.Count);

    /// <summary>Gives back memory that a large value needed.</summary>
    public void Trim()
    {
        Value.ClearAndTrim(16);
        Scratch.ClearAndTrim(16);
    }

    /// <summary>
    /// The next command's arguments: ranges from <paramref name="origin"/> in <paramref name="bytes"/>. They are not copied.
    /// </summary>
    public void SetArguments(byte[] bytes, int origin, ArgumentRange[] arguments, int count)
    {
        _bytes = bytes;
        _origin = origin;
        _arguments = arguments;
        ArgumentCount = count;
    }
}

internal readonly record struct SavedArguments(byte[] Bytes, int Origin, ArgumentRange[] Ranges, int Count);
