using System.Runtime.CompilerServices;
using Kvasir.Cluster.Groups;
using Kvasir.Primitives;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Sessions;

/// <summary>A MULTI block under way: its commands wait here, copied, until EXEC.</summary>
internal sealed class TransactionState
{
    private readonly List<QueuedCommand> _commands = [];

    // Of a queued command: two arrays' headers and its place in the list.
    private const int CommandBytes = 72;

    /// <summary>Between MULTI and EXEC.</summary>
    public bool IsOpen { get; private set; }

    /// <summary>Its commands run now.</summary>
    public bool IsExecuting { get; set; }

    /// <summary>A command could not be queued: EXEC will refuse.</summary>
    public bool HasErrors { get; set; }

    /// <summary>A watched key was touched: EXEC will do nothing.</summary>
    public bool WatchBroken { get; set; }

    /// <summary>Keys that WATCH named.</summary>
    public List<WatchedKey> Watched { get; } = [];

    /// <summary>Whether WATCH found the key.</summary>
    public bool HasSeen(int database, ReadOnlySpan<byte> key)
    {
        foreach (WatchedKey watched in Watched)
        {
            if (watched.Existed && watched.Database == database && key.SequenceEqual(watched.Key))
                return true;
        }

        return false;
    }

    public int Count => _commands.Count;

    /// <summary>What the queued commands take.</summary>
    public long QueuedBytes { get; private set; }

    /// <summary>Of the keys under watch.</summary>
    public long WatchedBytes { get; set; }

    public bool HasWrites { get; private set; }

    /// <summary>A queued command may need memory.</summary>
    public bool HasDenyOom { get; private set; }

    /// <summary>In a cluster: the shard of all its keys so far.</summary>
    public GroupId Shard { get; set; }

    /// <summary>In a cluster: the shard of all keys under watch.</summary>
    public GroupId WatchedShard { get; set; }

    /// <summary>In a cluster: the term in which this node led that shard when the first of them was read.</summary>
    public ulong WatchedTerm { get; set; }

    /// <summary>Where keys are watched that another node leads; null when none are.</summary>
    public WatchLane? Lane { get; set; }

    public void Begin() => IsOpen = true;

    /// <summary>Its commands as their client could have sent them.</summary>
    public void AppendRequests(BytesBuffer output)
    {
        foreach (QueuedCommand command in _commands)
        {
            RequestText.Begin(output, command.Arguments.Length);
            foreach (ArgumentRange argument in command.Arguments)
                RequestText.Argument(output, command.Bytes.AsSpan(argument.Offset, argument.Length));
        }
    }

    /// <summary>Keeps a command for EXEC. None is kept for a block that will not run: it would only take memory.</summary>
    public void Add(CommandContext context, CommandEntry command)
    {
        if (HasErrors || WatchBroken)
            return;
        ArgumentRange[] ranges = new ArgumentRange[context.ArgumentCount];
        int length = 0;
        for (int i = 0; i < ranges.Length; i++)
        {
            ranges[i] = new ArgumentRange(length, context.Argument(i).Length);
            length += ranges[i].Length;
        }

        // An array for each: one for all would be copied whenever it grows, and be twice as large as what is in it.
        byte[] bytes = GC.AllocateUninitializedArray<byte>(length);
        for (int i = 0; i < ranges.Length; i++)
            context.Argument(i).CopyTo(bytes.AsSpan(ranges[i].Offset));

        HasWrites |= (command.Definition.Flags & CommandFlags.Write) != 0;
        HasDenyOom |= (command.Definition.Flags & CommandFlags.DenyOom) != 0;
        _commands.Add(new QueuedCommand(command, bytes, ranges));
        QueuedBytes += CommandBytes + length + ((long)ranges.Length * Unsafe.SizeOf<ArgumentRange>());
    }

    /// <summary>The commands; leaves the block empty.</summary>
    public QueuedCommand[] Take()
    {
        QueuedCommand[] commands = [.. _commands];
        End();
        return commands;
    }

    public void End()
    {
        IsOpen = false;
        HasErrors = false;
        HasWrites = false;
        HasDenyOom = false;
        Shard = GroupId.None;
        _commands.Clear();
        QueuedBytes = 0;
    }
}

/// <param name="Command">What to run.</param>
/// <param name="Bytes">Where the ranges lie.</param>
/// <param name="Arguments">With the command's own name.</param>
internal readonly record struct QueuedCommand(CommandEntry Command, byte[] Bytes, ArgumentRange[] Arguments);

/// <param name="Database">Its index when WATCH ran.</param>
/// <param name="Key">The key.</param>
/// <param name="Existed">Whether it was there then.</param>
/// <param name="ExpiresAtMs">When it would expire, as WATCH saw it; 0 for never or already gone.</param>
internal readonly record struct WatchedKey(int Database, byte[] Key, bool Existed, long ExpiresAtMs);
