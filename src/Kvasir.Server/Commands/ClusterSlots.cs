using Kvasir.Cluster.Partitioning;
using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Storage.Engines;

namespace Kvasir.Server.Commands;

/// <summary>CLUSTER COUNTKEYSINSLOT and GETKEYSINSLOT, on the shard that the slot is of: they walk all of it.</summary>
internal static class ClusterSlots
{
    public static void CountKeysInSlot(CommandContext context)
    {
        if (!NumberText.TryArgument(context, 2, out long slot))
            return;
        long count = 0;
        using EngineScan scan = Walk(context);
        for (scan.SeekToFirst(); scan.Valid; scan.Next())
        {
            if (Slot.OfKey(scan.Key).Value == slot)
                count++;
        }

        context.Reply.Integer(count);
    }

    public static void GetKeysInSlot(CommandContext context)
    {
        if (!NumberText.TryArgument(context, 2, out long slot) || !NumberText.TryArgument(context, 3, out long most))
            return;
        if (most < 0)
        {
            context.Reply.Error("ERR Invalid slot or number of keys");
            return;
        }

        List<byte[]> keys = [];
        using (EngineScan scan = Walk(context))
        {
            for (scan.SeekToFirst(); scan.Valid && keys.Count < most; scan.Next())
            {
                if (Slot.OfKey(scan.Key).Value == slot)
                    keys.Add(scan.Key.ToArray());
            }
        }

        context.Reply.ArrayHeader(keys.Count);
        foreach (byte[] key in keys)
            context.Reply.BulkString(key);
    }

    private static EngineScan Walk(CommandContext context) =>
        context.Execution.CreateScan(context.Database, new IteratorOptions { KeysOnly = true, BypassCache = true });
}
