using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;
using Kvasir.Storage.Engines;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands.Values;

/// <summary>What a look-up found: whether the key lives, its header byte (zero when only the key was asked for), its deadline.</summary>
internal readonly record struct KeyLookup(bool Exists, byte Header, long ExpiresAtMs)
{
    public bool IsString => ValueHeader.TypeOf(Header) == StoredType.String;
}

/// <summary>
/// How command handlers reach keys: a value is a header byte and its bytes, an expired key is an absent one (and is
/// deleted where it is found), a change is staged first and told of after.
/// </summary>
internal static class KeyAccess
{
    private const string WrongType = "WRONGTYPE Operation against a key holding the wrong kind of value";

    /// <summary>Looks a key up and reads its value, with its header byte, into <paramref name="into"/>, which is cleared first.</summary>
    public static KeyLookup Find(CommandContext context, int database, ReadOnlySpan<byte> key, BytesBuffer into)
    {
        into.Clear();
        EntryInfo info = context.Execution.Get(context.ReplicaOf(database), key, into);
        if (info.Found && !IsExpired(context, info.ExpiresAtMs))
        {
            Check.That(into.Length > 0, "a stored value has no header");
            return new KeyLookup(Exists: true, into.WrittenSpan[0], info.ExpiresAtMs);
        }

        into.Clear();
        return Absent(context, database, key, info);
    }

    /// <summary>As <see cref="Find(CommandContext, int, ReadOnlySpan{byte}, BytesBuffer)"/>, in the selected database, into the context's value.</summary>
    public static KeyLookup Find(CommandContext context, ReadOnlySpan<byte> key) =>
        Find(context, context.DatabaseIndex, key, context.Value);

    /// <summary>Whether a key lives, and until when; reads no value.</summary>
    public static KeyLookup FindKey(CommandContext context, int database, ReadOnlySpan<byte> key)
    {
        EntryInfo info = context.Execution.Get(context.ReplicaOf(database), key, value: null);
        return info.Found && !IsExpired(context, info.ExpiresAtMs)
            ? new KeyLookup(Exists: true, Header: 0, info.ExpiresAtMs)
            : Absent(context, database, key, info);
    }

    public static KeyLookup FindKey(CommandContext context, ReadOnlySpan<byte> key) =>
        FindKey(context, context.DatabaseIndex, key);

    /// <summary>
    /// For loops over many keys: call with each key's argument, and every so often the engine is told the next few, whose
    /// waits for memory then overlap.
    /// </summary>
    public static void Foresee(CommandContext context, int argument, int first, int step, bool values)
    {
        const int AheadMax = 16;
        int index = (argument - first) / step;
        if (index % AheadMax != 0 || context.ArgumentCount - argument <= step)
            return;
        Span<ulong> hashes = stackalloc ulong[AheadMax];
        int count = 0;
        for (int i = argument; i < context.ArgumentCount && count < AheadMax; i += step)
            hashes[count++] = StableHash.Hash64(context.Argument(i));
        context.Database.Engine.Prefetch(hashes[..count], values);
    }

    /// <summary>
    /// For commands on strings: false when the key holds another type, after answering so. An absent key passes, as an
    /// empty value.
    /// </summary>
    public static bool TryFindString(CommandContext context, ReadOnlySpan<byte> key, BytesBuffer into, out KeyLookup found)
    {
        found = Find(context, context.DatabaseIndex, key, into);
        if (!found.Exists || found.IsString)
            return true;
        context.Reply.Error(WrongType);
        return false;
    }

    public static bool TryFindString(CommandContext context, ReadOnlySpan<byte> key, out KeyLookup found) =>
        TryFindString(context, key, context.Value, out found);

    /// <summary>The bytes that <see cref="Find(CommandContext, int, ReadOnlySpan{byte}, BytesBuffer)"/> read, without the header; empty when it found nothing.</summary>
    public static ReadOnlySpan<byte> Content(BytesBuffer value) => value.Length == 0 ? default : value.WrittenSpan[1..];

    public static void ReplyWrongType(CommandContext context) => context.Reply.Error(WrongType);

    /// <summary>As <see cref="Find(CommandContext, ReadOnlySpan{byte})"/>, for commands that read: counted as a hit or a miss.</summary>
    public static KeyLookup Read(CommandContext context, ReadOnlySpan<byte> key) => Read(context, key, context.Value);

    public static KeyLookup Read(CommandContext context, ReadOnlySpan<byte> key, BytesBuffer into)
    {
        KeyLookup found = Find(context, context.DatabaseIndex, key, into);
        CountRead(context, key, found);
        return found;
    }

    /// <summary>As <see cref="FindKey(CommandContext, ReadOnlySpan{byte})"/>, counted.</summary>
    public static KeyLookup ReadKey(CommandContext context, ReadOnlySpan<byte> key)
    {
        KeyLookup found = FindKey(context, key);
        CountRead(context, key, found);
        return found;
    }

    /// <summary>As <see cref="TryFindString(CommandContext, ReadOnlySpan{byte}, out KeyLookup)"/>, counted.</summary>
    public static bool TryReadString(CommandContext context, ReadOnlySpan<byte> key, out KeyLookup found)
    {
        found = Read(context, key);
        if (!found.Exists || found.IsString)
            return true;
        context.Reply.Error(WrongType);
        return false;
    }

    /// <summary>
    /// Answers the string at a key, or that there is none: the engine writes its bytes straight into the reply. False, after
    /// answering so, when the key holds another type.
    /// </summary>
    public static bool TryReplyString(CommandContext context, ReadOnlySpan<byte> key, out KeyLookup found)
    {
        RespWriter reply = context.Reply;
        int mark = reply.BeginBulkString(prefixLength: 1);
        EntryInfo info = context.Execution.Get(context.Database, key, reply.Buffer);
        if (info.Found && !IsExpired(context, info.ExpiresAtMs))
        {
            context.Server.Statistics.KeyHits++;
            found = new KeyLookup(Exists: true, reply.AppendedSince(mark, prefixLength: 1)[0], info.ExpiresAtMs);
            if (found.IsString)
            {
                reply.EndBulkString(mark, prefixLength: 1);
                return true;
            }

            reply.Buffer.Truncate(mark);
            reply.Error(WrongType);
            return false;
        }

        reply.Buffer.Truncate(mark);

        // Before the reply: a client that listens to events itself hears of the miss first, as from Redis.
        found = Absent(context, context.DatabaseIndex, key, info);
        CountRead(context, key, found);
        reply.Null();
        return true;
    }

    /// <summary>Counts a read, and tells subscribers when it found nothing.</summary>
    public static void CountRead(CommandContext context, ReadOnlySpan<byte> key, in KeyLookup found)
    {
        if (found.Exists)
        {
            context.Server.Statistics.KeyHits++;
            return;
        }

        context.Server.Statistics.KeyMisses++;
        context.Server.Events.Notify(KeyEventClass.Miss, "keymiss"u8, context.DatabaseIndex, key);
    }

    /// <summary>
    /// Sets a string of which nothing is known, without reading it; but when subscribers would hear what was there before,
    /// it is looked up.
    /// </summary>
    public static void PutBlind(CommandContext context, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, long expiresAtMs)
    {
        if ((context.Server.Events.Wanted & (KeyEventClass.New | KeyEventClass.Expired)) != 0)
        {
            Put(context, key, ValueHeader.PlainString, value, expiresAtMs, FindKey(context, key));
            return;
        }

        byte header = ValueHeader.PlainString;
        context.Execution.Put(context.Database, key, new ReadOnlySpan<byte>(in header), value, expiresAtMs);
    }

    /// <summary>Sets a key that was looked up before.</summary>
    public static void Put(
        CommandContext context,
        int database,
        ReadOnlySpan<byte> key,
        byte header,
        ReadOnlySpan<byte> value,
        long expiresAtMs,
        in KeyLookup previous)
    {
        context.Execution.Put(
            context.ReplicaOf(database),
            key,
            new ReadOnlySpan<byte>(in header),
            value,
            expiresAtMs,
            previous.Exists,
            previous.ExpiresAtMs);
        if (!previous.Exists)
            context.Server.Events.Notify(KeyEventClass.New, "new"u8, database, key);
    }

    public static void Put(
        CommandContext context, ReadOnlySpan<byte> key, byte header, ReadOnlySpan<byte> value, long expiresAtMs, in KeyLookup previous) =>
        Put(context, context.DatabaseIndex, key, header, value, expiresAtMs, previous);

    /// <summary>Puts a new object in a key's place, as RENAME and COPY do: to subscribers the key is new even when it was there.</summary>
    public static void Replace(
        CommandContext context,
        int database,
        ReadOnlySpan<byte> key,
        byte header,
        ReadOnlySpan<byte> value,
        long expiresAtMs,
        in KeyLookup previous)
    {
        Put(context, database, key, header, value, expiresAtMs, previous);
        if (previous.Exists)
            context.Server.Events.Notify(KeyEventClass.New, "new"u8, database, key);
    }

    /// <summary>Deletes a key that was looked up and found.</summary>
    public static void Delete(CommandContext context, ReadOnlySpan<byte> key, in KeyLookup found) =>
        context.Execution.Delete(context.Database, key, found.ExpiresAtMs);

    /// <summary>As <see cref="CommandContext.Changed"/>, for a key of any database.</summary>
    public static void Changed(
        CommandContext context, int database, KeyEventClass eventClass, ReadOnlySpan<byte> eventName, ReadOnlySpan<byte> key)
    {
        context.Server.Events.Modified(database, key);
        context.Server.Events.Notify(eventClass, eventName, database, key);
    }

    /// <summary>A key lives to the end of the millisecond of its deadline, as in Redis.</summary>
    private static bool IsExpired(CommandContext context, long expiresAtMs) => expiresAtMs != 0 && context.NowMs > expiresAtMs;

    private static KeyLookup Absent(CommandContext context, int database, ReadOnlySpan<byte> key, in EntryInfo info)
    {
        // An engine that hides an expired value tells its deadline; a key that was never there has none.
        // While clients are paused nothing is deleted, so that what others copy meanwhile stays as it is.
        if (info.ExpiresAtMs != 0 && context.ReplicaOf(database).Log.Refusal is null && !context.Server.Pause.IsActive(context.NowMs))
        {
            context.Execution.Delete(context.ReplicaOf(database), key, info.ExpiresAtMs);
            context.Server.Events.Expired(database, key);
            context.Server.Events.Notify(KeyEventClass.Expired, "expired"u8, database, key);
            context.Server.Statistics.ExpiredKeys++;
        }

        return default;
    }
}
