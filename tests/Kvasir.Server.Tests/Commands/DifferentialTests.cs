using System.Globalization;
using System.Text;
using Kvasir.Primitives;

namespace Kvasir.Server.Tests.Commands;

/// <summary>
/// The same random command lines to ours and to the installed Redis: every reply must be the same, byte by byte, but where
/// order or layout is free. <c>KVASIR_DIFFERENTIAL_COMMANDS</c> sets how many, <c>KVASIR_DIFFERENTIAL_SEED</c> which.
/// </summary>
public sealed class DifferentialTests
{
    private const int CommandsDefault = 20_000;

    [Fact]
    public void RepliesAreThoseOfRedis()
    {
        using RedisPeer? peer = RedisPeer.TryStart();
        if (peer is null)
        {
            Console.WriteLine($"no redis-server {RedisPeer.Version} is installed: nothing to compare with");
            return;
        }

        int count = ReadNumber("KVASIR_DIFFERENTIAL_COMMANDS") is { } wanted ? (int)wanted : CommandsDefault;
        ulong seed = ReadNumber("KVASIR_DIFFERENTIAL_SEED") ?? 20_070_015;
        var lines = new CommandLines(new SeededRandom(seed));
        using var world = new CommandWorld();
        var history = new Queue<string>();
        for (int i = 0; i < count; i++)
        {
            byte[][] line = lines.Next();
            string name = Encoding.Latin1.GetString(line[0]);
            history.Enqueue(Show(line));
            if (history.Count > 60)
                history.Dequeue();
            // Redis counts keys that have expired until it deletes them, which a scan does.
            if (string.Equals(name, "DBSIZE", StringComparison.Ordinal))
                peer.Execute("SCAN", "0", "COUNT", "1000");
            byte[] expected = peer.Execute(line);
            byte[] actual = world.Execute(line);
            if (!AreEqual(name, expected, actual))
            {
                Assert.Fail(
                    $"KVASIR_DIFFERENTIAL_SEED={seed}, command {i}:\n{string.Join('\n', history)}\n"
                    + $"Redis: {Show(expected)}\nours:  {Show(actual)}");
            }
        }

        CompareContent(seed, peer, world);
    }

    /// <summary>At the end both hold the same keys, values, deadlines and encodings, and read each other's dumps.</summary>
    private static void CompareContent(ulong seed, RedisPeer peer, CommandWorld world)
    {
        foreach (byte[] key in CommandLines.Keys)
        {
            foreach (string query in new[] { "GET", "PEXPIRETIME", "TYPE" })
            {
                byte[][] line = [Encoding.Latin1.GetBytes(query), key];
                Assert.True(
                    AreEqual(query, peer.Execute(line), world.Execute(line)),
                    $"KVASIR_DIFFERENTIAL_SEED={seed}: {Show(line)} differs at the end");
            }

            byte[] value = peer.Execute(["GET"u8.ToArray(), key]);
            if (value[1] == '-')
                continue;
            byte[] theirs = BulkOf(peer.Execute(["DUMP"u8.ToArray(), key]));
            byte[] ours = BulkOf(world.Execute(["DUMP"u8.ToArray(), key]));
            byte[] copy = "copy"u8.ToArray();
            Assert.Equal("+OK\r\n"u8, peer.Execute(["RESTORE"u8.ToArray(), copy, "0"u8.ToArray(), ours, "REPLACE"u8.ToArray()]));
            Assert.Equal("+OK\r\n"u8, world.Execute(["RESTORE"u8.ToArray(), copy, "0"u8.ToArray(), theirs, "REPLACE"u8.ToArray()]));
            Assert.Equal(value, peer.Execute(["GET"u8.ToArray(), copy]));
            Assert.Equal(value, world.Execute(["GET"u8.ToArray(), copy]));
        }
    }

    private static bool AreEqual(string name, byte[] expected, byte[] actual)
    {
        if (expected.AsSpan().SequenceEqual(actual))
            return true;
        return name switch
        {
            // The order is free.
            "KEYS" or "SCAN" => Lines(expected).SequenceEqual(Lines(actual), StringComparer.Ordinal),
            // Clocks differ by a little.
            "TTL" or "PTTL" or "PEXPIRETIME" or "EXPIRETIME" => AreClose(expected, actual),
            _ => false,
        };
    }

    private static IEnumerable<string> Lines(byte[] reply) =>
        Encoding.Latin1.GetString(reply).Split("\r\n").Order(StringComparer.Ordinal);

    private static bool AreClose(byte[] expected, byte[] actual) =>
        long.TryParse(Encoding.Latin1.GetString(expected).AsSpan(1), CultureInfo.InvariantCulture, out long a)
        && long.TryParse(Encoding.Latin1.GetString(actual).AsSpan(1), CultureInfo.InvariantCulture, out long b)
        && Math.Sign(a) == Math.Sign(b) && Math.Abs(a - b) < 60_000;

    private static byte[] BulkOf(byte[] reply)
    {
        int header = reply.AsSpan().IndexOf((byte)'\n') + 1;
        return reply[header..^2];
    }

    private static ulong? ReadNumber(string variable) =>
        ulong.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out ulong value) ? value : null;

    private static string Show(byte[][] line) => string.Join(' ', line.Select(a => "\"" + Show(a) + "\""));

    private static string Show(byte[] bytes)
    {
        var text = new StringBuilder();
        foreach (byte b in bytes)
        {
            if (b is >= 32 and < 127)
                text.Append((char)b);
            else
                text.Append(CultureInfo.InvariantCulture, $"\\x{b:x2}");
        }

        return text.ToString();
    }
}
