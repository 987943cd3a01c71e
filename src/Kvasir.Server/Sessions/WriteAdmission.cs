using Kvasir.Cluster.Replicas;
using Kvasir.Storage.Engines;

namespace Kvasir.Server.Sessions;

/// <summary>
/// Whether an engine will take the keys and values of a command: asked before the command runs, so that nothing gets into a log that its engine, or
/// another replica's, could not take. Commands that can add no key always run: reads, deletions and deadlines go on when there is
/// no room.
/// </summary>
internal static class WriteAdmission
{
    // What a value is kept with, and more than that.
    private const int ValueHeaderBytes = 64;

    // What it is kept with at least, which says its type.
    private const int ValueTypeBytes = 1;

    /// <summary>The longest value as a client sees it.</summary>
    public static int ValueBytesMax(Replica replica) =>
        replica.ValueBytesMax == int.MaxValue ? int.MaxValue : replica.ValueBytesMax - ValueHeaderBytes;

    /// <summary>False after answering why not.</summary>
    public static bool Admits(CommandContext context, CommandEntry entry)
    {
        CommandDefinition definition = entry.Definition;
        if (definition.FirstKey == 0 || !MayAddKeys(definition))
            return true;
        Replica replica = context.Database;
        if (!replica.IsLimited)
            return true;
        if (ValueBytesMax(replica) < context.Server.RequestLimits.BulkBytesMax && !AdmitsValues(context, replica))
            return false;
        int last = definition.LastKey < 0 ? context.ArgumentCount + definition.LastKey : Math.Min(definition.LastKey, context.ArgumentCount - 1);
        int step = Math.Max(definition.KeyStep, 1);
        long keysLeft = replica.KeysLeft;
        long keys = 0;
        bool isNear = (last - definition.FirstKey + step) / step >= keysLeft;
        for (int i = definition.FirstKey; i <= last; i += step)
        {
            if (!Admits(context, replica, context.Argument(i), isNear, ref keys, keysLeft))
                return false;
        }

        return definition.LateKey is not { } lateKey || lateKey(context) is not (var late and > 0)
            || Admits(context, replica, context.Argument(late), keysLeft <= 1, ref keys, keysLeft);
    }

    /// <summary>As the other one, for the one key that a command writes to a database that it names itself, with a value that is there.</summary>
    public static bool Admits(CommandContext context, Replica replica, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        if (!AdmitsRewrite(context, replica, key, value))
            return false;
        long keys = 0;
        long keysLeft = replica.KeysLeft;
        return !replica.IsLimited || Admits(context, replica, key, keysLeft == 0, ref keys, keysLeft);
    }

    /// <summary>
    /// As the other ones, for what a command makes of a value that is there, up to the last byte that there is room for: it may have come
    /// with a conversion, and it may be longer than one that is under way allows.
    /// </summary>
    public static bool AdmitsRewrite(CommandContext context, Replica replica, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value)
    {
        if (!replica.IsLimited)
            return true;
        if (key.Length > replica.KeyBytesMax)
        {
            RefuseKey(context, replica);
            return false;
        }

        if (value.Length <= replica.ValueBytesMax - ValueTypeBytes)
            return true;
        RefuseValue(context, replica);
        return false;
    }

    /// <summary>As the other one, for keys that a command makes up.</summary>
    public static bool Admits(CommandContext context, long count, Func<long, byte[]> keyAt)
    {
        Replica replica = context.Database;
        if (!replica.IsLimited)
            return true;
        long keys = 0;
        long keysLeft = replica.KeysLeft;
        for (long i = 0; i < count; i++)
        {
            if (!Admits(context, replica, keyAt(i), isNear: count > keysLeft, ref keys, keysLeft))
                return false;
        }

        return true;
    }

    private static bool AdmitsValues(CommandContext context, Replica replica)
    {
        int valueBytesMax = ValueBytesMax(replica);
        for (int i = 1; i < context.ArgumentCount; i++)
        {
            if (context.Argument(i).Length <= valueBytesMax)
                continue;
            RefuseValue(context, replica);
            return false;
        }

        return true;
    }

    /// <summary>Names the engine whose limit it is: while copies have one or another, it need not be this replica's.</summary>
    public static void RefuseValue(CommandContext context, Replica replica)
    {
        string engine = replica.Shared is { } shared && shared.ValueBytesMax < replica.Engine.ValueBytesMax ? shared.ValueEngine : replica.Options.Engine;
        context.Reply.Error(
            $"ERR value is longer than {ValueBytesMax(replica)} bytes, the most that engine {engine} of keyspace {replica.Options.Name} takes");
    }

    private static void RefuseKey(CommandContext context, Replica replica)
    {
        string engine = replica.Shared is { } shared && shared.KeyBytesMax < replica.Engine.KeyBytesMax ? shared.KeyEngine : replica.Options.Engine;
        context.Reply.Error(
            $"ERR key is longer than {replica.KeyBytesMax} bytes, the most that engine {engine} of keyspace {replica.Options.Name} takes");
    }

    private static bool Admits(CommandContext context, Replica replica, ReadOnlySpan<byte> key, bool isNear, ref long keys, long keysLeft)
    {
        if (key.Length > replica.KeyBytesMax)
        {
            RefuseKey(context, replica);
            return false;
        }

        // Looked for only where it matters; one that is there, deleted but not forgotten yet, counts as new.
        if (!isNear || context.Execution.Get(replica, key, value: null).Found || ++keys <= keysLeft)
            return true;
        if (replica.Shared is { } limits && limits.KeysLeft < replica.Engine.KeysLeft)
        {
            context.Reply.Error(
                $"OOM keyspace {replica.Options.Name} takes no new keys: it is being converted, and those of engine {limits.RoomEngine} are in memory, where there is no room for more; delete some, give more memory, or abort the conversion");
            return false;
        }

        EngineStatistics statistics = replica.Engine.GetStatistics();
        context.Reply.Error(
            $"OOM keyspace {replica.Options.Name} takes no new keys: those of engine {replica.Options.Engine} are in memory, and take {statistics.IndexBytes} of {statistics.IndexLimitBytes} bytes that they may take beside those of other keyspaces; delete some, or give more memory");
        return false;
    }

    // COPY and MOVE write to a database that they name themselves.
    private static bool MayAddKeys(CommandDefinition definition) =>
        ((definition.Flags & CommandFlags.DenyOom) != 0 && definition.Name != "copy") || definition.Name is "rename" or "renamenx";
}
