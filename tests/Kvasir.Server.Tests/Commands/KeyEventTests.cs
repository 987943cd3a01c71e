using System.Text;
using Kvasir.Primitives;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;

namespace Kvasir.Server.Tests.Commands;

public sealed class KeyEventTests
{
    /// <summary>The same commands, the same events in the same order as from the installed Redis.</summary>
    [Fact]
    public void EventsAreThoseOfRedis()
    {
        using RedisPeer? peer = RedisPeer.TryStart();
        if (peer is null)
        {
            Console.WriteLine($"no redis-server {RedisPeer.Version} is installed: nothing to compare with");
            return;
        }

        const ulong Seed = 7;
        using var world = new CommandWorld();
        world.Server.Events.Wanted = KeyEventClass.All | KeyEventClass.New | KeyEventClass.Miss | KeyEventClass.Keyevent;
        SessionPeer ours = world.Connect();
        ours.Execute("PSUBSCRIBE *");
        peer.Execute("CONFIG", "SET", "notify-keyspace-events", "AEnm");
        // Its sweep would tell of expired keys at moments of its own; when asked for them, both tell alike.
        peer.Execute("DEBUG", "SET-ACTIVE-EXPIRE", "0");
        using RedisPeer theirs = peer.Connect();
        theirs.Execute("PSUBSCRIBE", "*");
        var lines = new CommandLines(new SeededRandom(Seed));
        byte[] end = "the end"u8.ToArray();
        for (int i = 0; i < 10_000; i++)
        {
            byte[][] line = lines.Next();
            // Keys that Redis meets by chance, in its own order, expire in that order.
            if (Encoding.Latin1.GetString(line[0]) is "SCAN" or "KEYS" or "DBSIZE" or "FLUSHALL" or "FLUSHDB")
                continue;
            peer.Execute(line);
            world.Execute(line);
            peer.Execute("PUBLISH"u8.ToArray(), end, end);
            var expected = new StringBuilder();
            while (true)
            {
                string message = Encoding.Latin1.GetString(theirs.Receive());
                if (message.Contains("the end", StringComparison.Ordinal))
                    break;
                expected.Append(message);
            }

            string actual = Encoding.Latin1.GetString(ours.Receive());
            Assert.True(
                string.Equals(expected.ToString(), actual, StringComparison.Ordinal),
                $"seed {Seed}, command {i}: {string.Join(' ', line.Select(Encoding.Latin1.GetString))}\nRedis:\n{expected}\nours:\n{actual}");
        }
    }
}
