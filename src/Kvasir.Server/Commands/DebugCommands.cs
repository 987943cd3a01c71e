using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Kvasir.Primitives;
using Kvasir.Server.Commands.Generic;
using Kvasir.Server.Commands.Values;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;
using Kvasir.Storage.Engines;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Commands;

/// <summary>DEBUG: what test tools use of it.</summary>
internal static class DebugCommands
{
    private const CommandFlags Debugging =
        CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.Protected;

    public static IEnumerable<CommandDefinition> All =>
    [
        new() { Name = "debug", Arity = -2, Flags = Debugging, Handler = Run, Group = "server" },
    ];

    private static void Run(CommandContext context)
    {
        string word = Encoding.UTF8.GetString(context.Argument(1)).ToLowerInvariant();
        if (context.Node.Alone is null && word is "reload" or "loadaof" or "object" or "digest" or "digest-value" or "populate")
        {
            context.Reply.Error($"ERR DEBUG {word.ToUpperInvariant()} is not possible in a cluster: no node has all of its data");
            return;
        }

        switch (word, context.ArgumentCount)
        {
            case ("sleep", 3):
                Sleep(context);
                break;
            case ("set-active-expire", 3):
                context.Server.ActiveExpire = context.Argument(2).SequenceEqual("1"u8);
                context.Reply.Ok();
                break;
            case ("reload", _):
            case ("loadaof", 2):
                Reload(context);
                break;
            case ("object", 3):
                Describe(context);
                break;
            case ("digest", 2):
                Digest(context);
                break;
            case ("digest-value", >= 2):
                DigestValues(context);
                break;
            case ("protocol", 3):
                DebugProtocol.Write(context);
                break;
            case ("populate", >= 3 and <= 5):
                Populate(context);
                break;
            case ("quicklist-packed-threshold", 3):
                SetPackedThreshold(context);
                break;
            case ("replybuffer", 4):
                SetReplyPeak(context);
                break;
            case ("error", 3):
                context.Reply.Error(context.Argument(2));
                break;
            case ("log", 3):
            case ("set-disable-deny-scripts", 3):
            case ("change-repl-id", 2):
            case ("pause-cron", 3):
            case ("config-rewrite-force-all", 2):
                context.Reply.Ok();
                break;
            case ("structsize", 2):
                context.Reply.SimpleString("bits:64 robj:16 dictentry:24 sdshdr5:1 sdshdr8:3 sdshdr16:5 sdshdr32:9 sdshdr64:17 "u8);
                break;
            case ("htstats", 3):
                context.Reply.Verbatim("[Dictionary HT]\nNo stats available for empty dictionaries\n[Expires HT]\nNo stats available for empty dictionaries\n");
                break;
            case ("mallctl", >= 3):
            case ("mallctl-str", >= 3):
                context.Reply.Null();
                break;
            case ("help", 2):
                Help(context);
                break;
            default:
                UnknownSubcommand(context);
                break;
        }
    }

    /// <summary>REPLYBUFFER PEAK-RESET-TIME never|reset|milliseconds.</summary>
    private static void SetReplyPeak(CommandContext context)
    {
        long milliseconds = ConnectionLimits.ReplyPeakDefaultMs;
        if (Ascii.EqualsIgnoreCase(context.Argument(2), "resizing"u8))
        {
            // What it shows never shrinks; that it may still grow to Redis's size makes no difference to a test.
            context.Server.Limits.ReplyPeakMs = context.Argument(3).SequenceEqual("0"u8) ? -1 : milliseconds;
            context.Reply.Ok();
            return;
        }

        if (!Ascii.EqualsIgnoreCase(context.Argument(2), "peak-reset-time"u8))
        {
            UnknownSubcommand(context);
            return;
        }

        if (Ascii.EqualsIgnoreCase(context.Argument(3), "never"u8))
            milliseconds = -1;
        else if (!Ascii.EqualsIgnoreCase(context.Argument(3), "reset"u8) && !NumberText.TryArgument(context, 3, out milliseconds))
            return;
        context.Server.Limits.ReplyPeakMs = milliseconds;
        context.Reply.Ok();
    }

    private static void Sleep(CommandContext context)
    {
        // Blocks the whole node, as it does in Redis: that is what it is for.
        if (double.TryParse(Encoding.ASCII.GetString(context.Argument(2)), NumberStyles.Float, CultureInfo.InvariantCulture, out double seconds)
            && seconds is >= 0 and < 3600)
        {
            Thread.Sleep(TimeSpan.FromSeconds(seconds));
        }

        context.Reply.Ok();
    }

    private static void Reload(CommandContext context)
    {
        for (int i = 2; i < context.ArgumentCount; i++)
        {
            ReadOnlySpan<byte> option = context.Argument(i);
            if (!Ascii.EqualsIgnoreCase(option, "nosave"u8) && !Ascii.EqualsIgnoreCase(option, "noflush"u8) && !Ascii.EqualsIgnoreCase(option, "merge"u8))
            {
                context.Reply.Error("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
                return;
            }
        }

        if (context.Session.Transaction.IsExecuting)
        {
            context.Reply.Error("ERR DEBUG RELOAD inside a transaction would lose it");
            return;
        }

        lock (context.Server.ReloadLock)
            context.Server.ReloadNode?.Invoke();
        context.Reply.Ok();
    }

    /// <summary>POPULATE count [prefix] [size]: keys prefix:0, prefix:1 ... where there are none; values padded or cut to size.</summary>
    private static void Populate(CommandContext context)
    {
        long size = 0;
        if (!NumberText.TryParseInt64(context.Argument(2), out long count)
            || (context.ArgumentCount == 5 && !NumberText.TryParseInt64(context.Argument(4), out size))
            || count < 0 || size < 0 || size > StringLimits.BytesMax(context))
        {
            context.Reply.Error("ERR value is out of range, must be positive");
            return;
        }

        byte[] prefix = context.ArgumentCount > 3 ? context.Argument(3).ToArray() : "key"u8.ToArray();
        if (!WriteAdmission.Admits(context, count, KeyAt))
            return;
        for (long i = 0; i < count; i++)
        {
            byte[] key = KeyAt(i);
            KeyLookup found = KeyAccess.FindKey(context, key);
            if (found.Exists)
                continue;
            byte[] value = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"value:{i}"));
            if (size != 0)
                Array.Resize(ref value, (int)size);
            KeyAccess.Put(context, key, ValueHeader.PlainString, value, expiresAtMs: 0, found);
            context.Server.Events.Modified(context.DatabaseIndex, key);
        }

        context.Reply.Ok();

        byte[] KeyAt(long number) => [.. prefix, .. Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $":{number}"))];
    }

    private static void Describe(CommandContext context)
    {
        ReadOnlySpan<byte> key = context.Argument(2);
        KeyLookup found = KeyAccess.Find(context, key);
        if (!found.Exists)
        {
            context.Reply.Error("ERR no such key");
            return;
        }

        ReadOnlySpan<byte> value = KeyAccess.Content(context.Value);
        bool isNumber = found.Header == ValueHeader.PlainString && NumberText.TryParseInt64(value, out _);
        string encoding = isNumber ? "int" : found.Header == ValueHeader.RawString || value.Length > ObjectCommands.EmbeddedLengthMax ? "raw" : "embstr";
        int references = isNumber && NumberText.TryParseInt64(value, out long number) && number is >= 0 and < ObjectCommands.SharedIntegers ? int.MaxValue : 1;
        context.Scratch.Clear();
        int length = DumpFormat.AppendString(value, context.Scratch, context.Server.Settings.Flag("rdbcompression"));
        context.Reply.SimpleString(Encoding.ASCII.GetBytes(string.Create(
            CultureInfo.InvariantCulture,
            $"Value at:0x7f0000000000 refcount:{references} encoding:{encoding} serializedlength:{length} lru:{(context.Server.Clock.NowMs / 1000) & 0xFFFFFF} lru_seconds_idle:{context.Server.Use.IdleSeconds(context.DatabaseIndex, key)}")));
    }

    /// <summary>Of lists, which do not exist here yet: checked and forgotten.</summary>
    private static void SetPackedThreshold(CommandContext context)
    {
        if (SettingValue.TryMemory(Encoding.Latin1.GetString(context.Argument(2)), units: true, out long bytes) && bytes < 1L << 32)
            context.Reply.Ok();
        else
            context.Reply.Error("ERR argument must be a memory value bigger than 1 and smaller than 4gb");
    }

    private static void UnknownSubcommand(CommandContext context) => context.Reply.ErrorAbout(
        "ERR unknown subcommand or wrong number of arguments for '"u8, context.Argument(1), "'. Try DEBUG HELP."u8);

    /// <summary>A fingerprint of all data that does not depend on order: equal data, equal digest.</summary>
    private static void Digest(CommandContext context)
    {
        Span<byte> sum = stackalloc byte[20];
        sum.Clear();
        BytesBuffer row = new();
        for (int i = 0; i < context.Node.DatabaseCount; i++)
        {
            if (context.Node.ReplicasOf(i).IsEmpty)
                continue;
            using EngineScan scan = context.Execution.CreateScan(context.Node.Database(i), default);
            for (scan.SeekToFirst(); scan.Valid; scan.Next())
            {
                row.Clear();
                row.Append((byte)i);
                row.Append(scan.Key);
                row.Append((byte)0);
                row.Append(scan.Value);
                row.Append(BitConverter.GetBytes(scan.ExpiresAtMs));
                Mix(sum, row.WrittenSpan);
            }
        }

        context.Reply.SimpleString(Encoding.ASCII.GetBytes(Convert.ToHexStringLower(sum)));
    }

    private static void DigestValues(CommandContext context)
    {
        context.Reply.ArrayHeader(context.ArgumentCount - 2);
        Span<byte> sum = stackalloc byte[20];
        for (int i = 2; i < context.ArgumentCount; i++)
        {
            sum.Clear();
            if (KeyAccess.Find(context, context.Argument(i)).Exists)
                Mix(sum, context.Value.WrittenSpan);
            context.Reply.SimpleString(Encoding.ASCII.GetBytes(Convert.ToHexStringLower(sum)));
        }
    }

    private static void Mix(Span<byte> sum, ReadOnlySpan<byte> row)
    {
        Span<byte> hash = stackalloc byte[32];
        SHA256.HashData(row, hash);
        for (int i = 0; i < sum.Length; i++)
            sum[i] ^= hash[i];
    }

    private static void Help(CommandContext context)
    {
        string[] lines =
        [
            "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
            "CHANGE-REPL-ID", "    Does nothing here.",
            "DIGEST", "    Output a hex signature representing the current DB content.",
            "DIGEST-VALUE <key> [<key> ...]", "    Output a hex signature of the values of all the specified keys.",
            "ERROR <string>", "    Return a Redis protocol error with <string> as message.",
            "OBJECT <key>", "    Show low level info about `key` and associated value.",
            "POPULATE <count> [<prefix>] [<size>]", "    Create <count> string keys named key:<num>.",
            "PROTOCOL <type>", "    Reply with a test value of the specified type.",
            "RELOAD [option ...]", "    Close all files and open them again, as a restart would.",
            "SET-ACTIVE-EXPIRE <0|1>", "    Setting it to 0 disables expiring keys in background.",
            "SLEEP <seconds>", "    Stop the server for <seconds>. Decimals allowed.",
            "HELP", "    Prints this help.",
        ];
        context.Reply.ArrayHeader(lines.Length);
        foreach (string line in lines)
            context.Reply.SimpleString(Encoding.ASCII.GetBytes(line));
    }
}

/// <summary>DEBUG PROTOCOL: one reply of each type.</summary>
internal static class DebugProtocol
{
    public static void Write(CommandContext context)
    {
        RespWriter reply = context.Reply;
        switch (Encoding.ASCII.GetString(context.Argument(2)).ToLowerInvariant())
        {
            case "string":
                reply.BulkString("Hello World"u8);
                break;
            case "integer":
                reply.Integer(12345);
                break;
            case "double":
                reply.Double(3.141);
                break;
            case "null":
                reply.Null();
                break;
            case "array":
                reply.ArrayHeader(3);
                Numbers(reply);
                break;
            case "set":
                reply.SetHeader(3);
                Numbers(reply);
                break;
            case "map":
                reply.MapHeader(3);
                for (int i = 0; i < 3; i++)
                {
                    reply.Integer(i);
                    reply.Boolean(i == 1);
                }

                break;
            case "attrib":
                if (reply.Protocol >= 3)
                {
                    reply.Buffer.Append("|1\r\n"u8);
                    reply.BulkString("key-popularity"u8);
                    reply.ArrayHeader(2);
                    reply.BulkString("key:123"u8);
                    reply.Integer(90);
                }

                reply.BulkString("Some real reply following the attribute"u8);
                break;
            case "push":
                if (reply.Protocol < 3)
                {
                    reply.Error("ERR RESP2 is not supported by this command");
                    break;
                }

                reply.PushHeader(2);
                reply.BulkString("server-cpu-usage"u8);
                reply.Integer(42);
                // A push is no reply: the command's own follows.
                reply.BulkString("Some real reply following the push reply"u8);
                break;
            case "verbatim":
                reply.Verbatim("This is a verbatim\nstring");
                break;
            case "true":
                reply.Boolean(true);
                break;
            case "false":
                reply.Boolean(false);
                break;
            case "bignum":
                if (reply.Protocol >= 3)
                    reply.Buffer.Append("(1234567999999999999999999999999999999\r\n"u8);
                else
                    reply.BulkString("1234567999999999999999999999999999999"u8);
                break;
            default:
                reply.Error("ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false");
                break;
        }
    }

    private static void Numbers(RespWriter reply)
    {
        for (int i = 0; i < 3; i++)
            reply.Integer(i);
    }
}
