using Kvasir.Primitives;
using Kvasir.Server.Commands.Values;
using Kvasir.Storage.Engines;

namespace Kvasir.Server.Commands.Generic;

/// <summary>
/// RANDOMKEY over an ordered engine: walks down the tree of key prefixes, drawing at each level a byte between the
/// smallest and the largest that follow the prefix, then takes a few steps on. Every key can be drawn; keys in crowded
/// regions are drawn less often than keys in sparse ones.
/// </summary>
internal static class RandomKeyCommand
{
    private const int LevelsMax = 24;
    private const int StepsMax = 16;

    public static void RandomKey(CommandContext context)
    {
        using EngineIterator iterator = context.Execution.CreateIterator(context.Database, new IteratorOptions { KeysOnly = true });
        iterator.SeekToFirst();
        if (!iterator.Valid)
        {
            context.Reply.Null();
            return;
        }

        Descend(iterator, context.Scratch);
        for (int steps = Random.Shared.Next(StepsMax); steps > 0; steps--)
        {
            iterator.Next();
            if (!iterator.Valid)
                iterator.SeekToFirst();
        }

        context.Reply.BulkString(iterator.Key);
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
