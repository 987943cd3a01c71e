using Kvasir.Primitives;
using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Storage.Engines;

namespace Kvasir.Server.Commands.Generic;

/// <summary>
/// RANDOMKEY. Few keys are counted, and one drawn fairly. Among many of an ordered engine it walks down the tree of key prefixes, drawing at each level a byte between the
/// smallest and the largest that follow the prefix, then takes a few steps on. Where tokens are the order, it goes to a token that is
/// drawn. Every key can be drawn; keys in crowded regions are drawn less often than keys in sparse ones.
/// </summary>
internal static class RandomKeyCommand
{
    /// <summary>Up to so many versions of keys, by the engine's estimate, the keys are counted.</summary>
    private const int FewKeys = 4096;
    private const int LevelsMax = 24;
    private const int StepsMax = 16;
    private const int DrawnBytes = 16;

    public static void RandomKey(CommandContext context)
    {
        if (context.Database.Engine.GetStatistics().EstimatedKeys > FewKeys && context.Database.Engine is IOrderedEngine ordered)
        {
            using EngineIterator iterator = context.Execution.CreateIterator(context.Database, ordered, new IteratorOptions { KeysOnly = true });
            iterator.SeekToFirst();
            if (iterator.Valid)
                DrawByPrefix(iterator, context.Scratch);
            Answer(context, iterator);
            return;
        }

        using EngineScan scan = context.Execution.CreateScan(context.Database, new IteratorOptions { KeysOnly = true });
        scan.SeekToFirst();
        if (context.Database.Engine.GetStatistics().EstimatedKeys <= FewKeys)
            DrawFairly(scan);
        else
            DrawByToken(scan);
        Answer(context, scan);
    }

    private static void Answer(CommandContext context, EngineScan scan)
    {
        if (scan.Valid)
            context.Reply.BulkString(scan.Key);
        else
            context.Reply.Null();
    }

    private static void DrawByToken(EngineScan scan)
    {
        Span<byte> drawn = stackalloc byte[DrawnBytes];
        Random.Shared.NextBytes(drawn);
        scan.Seek(drawn);
        if (!scan.Valid)
            scan.SeekToFirst();
    }

    private static void DrawFairly(EngineScan iterator)
    {
        // The n-th key replaces the draw so far with one chance in n.
        int drawn = 0;
        int count = 0;
        for (; iterator.Valid; iterator.Next())
        {
            if (Random.Shared.Next(++count) == 0)
                drawn = count;
        }

        iterator.SeekToFirst();
        for (int i = 1; i < drawn; i++)
            iterator.Next();
    }

    private static void DrawByPrefix(EngineIterator iterator, BytesBuffer prefix)
    {
        Descend(iterator, prefix);
        for (int steps = Random.Shared.Next(StepsMax); steps > 0; steps--)
        {
            iterator.Next();
            if (!iterator.Valid)
                iterator.SeekToFirst();
        }
    }

    /// <summary>Leaves the iterator, which is at the first key, at some key.</summary>
    private static void Descend(EngineIterator iterator, BytesBuffer prefix)
    {
        prefix.Clear();
        for (int level = 0; level < LevelsMax; level++)
        {
            // Invariant: the iterator is at the first key that begins with the prefix.
            if (iterator.Key.Length == prefix.Length)
            {
                // The prefix itself is a key: stop here, or go on among its continuations if there are any.
                if (Random.Shared.Next(2) == 0)
                    return;
                iterator.Next();
                if (!iterator.Valid || !iterator.Key.StartsWith(prefix.WrittenSpan))
                {
                    iterator.Seek(prefix.WrittenSpan);
                    return;
                }
            }

            byte lowest = iterator.Key[prefix.Length];
            prefix.Append((byte)0xFF);
            SeekToLastWith(iterator, prefix.WrittenSpan);
            byte highest = iterator.Key[prefix.Length - 1];
            prefix.WrittenSpan[^1] = (byte)Random.Shared.Next(lowest, highest + 1);
            iterator.Seek(prefix.WrittenSpan);
            Check.That(iterator.Valid && iterator.Key.Length >= prefix.Length, "a key seen before is gone from the same view");
            prefix.WrittenSpan[^1] = iterator.Key[prefix.Length - 1];
        }
    }

    /// <summary>To the last key whose beginning is at most this, all of whose bytes after the prefix are 0xFF.</summary>
    private static void SeekToLastWith(EngineIterator iterator, ReadOnlySpan<byte> bound)
    {
        iterator.Seek(bound);
        if (iterator.Valid && iterator.Key.StartsWith(bound))
            return;
        if (iterator.Valid)
            iterator.Previous();
        else
            iterator.SeekToLast();
    }
}
