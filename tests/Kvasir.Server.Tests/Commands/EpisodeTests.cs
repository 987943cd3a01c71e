using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Kvasir.Primitives;
using Kvasir.Server.Commands;

namespace Kvasir.Server.Tests.Commands;

/// <summary>
/// Three clients of a server and the same three of the installed Redis send the same random requests; what each of them
/// receives, replies and messages, must be the same bytes. Each episode begins with empty servers and has a seed of its own.
/// <c>KVASIR_EPISODES</c> sets how many, <c>KVASIR_EPISODE_SEED</c> the first.
/// </summary>
public sealed partial class EpisodeTests
{
    private const int EpisodesDefault = 60;
    private const int Steps = 250;
    private const int DifferencesMax = 40;

    [Fact]
    public void EveryClientReceivesWhatRedisWouldSend()
    {
        using RedisPeer? redis = RedisPeer.TryStart();
        if (redis is null)
        {
            Console.WriteLine($"no redis-server {RedisPeer.Version} is installed: nothing to compare with");
            return;
        }

        ulong first = Number("KVASIR_EPISODE_SEED") ?? 1;
        ulong count = Number("KVASIR_EPISODES") ?? EpisodesDefault;
        var differences = new SortedDictionary<string, string>(StringComparer.Ordinal);
        using var world = new CommandWorld();
        for (ulong seed = first; seed < first + count && differences.Count < DifferencesMax; seed++)
        {
            using var pair = new ServerPair(redis, world);
            if (Run(pair, seed) is { } difference)
                differences.TryAdd(difference.Kind, difference.Text);
            Assert.False(redis.HasExited, $"KVASIR_EPISODE_SEED={seed} ended redis-server\n{string.Join('\n', differences.Values)}");
        }

        Assert.True(differences.Count == 0, string.Join("\n\n", differences.Values));
    }

    private static (string Kind, string Text)? Run(ServerPair pair, ulong seed)
    {
        var random = new SeededRandom(seed);
        var lines = new SessionLines(random, pair.CommandNames);
        var history = new Queue<string>();
        for (int step = 0; step < Steps; step++)
        {
            int client = random.Next(ServerPair.Clients);
            (string name, byte[] bytes) = lines.Next(pair.Queues(client));
            history.Enqueue($"{client}: {Show(bytes)}");
            if (history.Count > 120)
                history.Dequeue();
            if (name is "DBSIZE")
                pair.ForgetExpired();
            (byte[] Redis, byte[] Ours)[] received = pair.Send(client, bytes);
            for (int i = 0; i < received.Length; i++)
            {
                if (AllowedDifferences.AreEqual(name, received[i].Redis, received[i].Ours))
                    continue;
                string text = $"KVASIR_EPISODE_SEED={seed} KVASIR_EPISODES=1, step {step}, client {i}:\n{string.Join('\n', history)}\n"
                    + $"{AllowedDifferences.Explain(received[i].Redis, received[i].Ours)}\nRedis: {Show(received[i].Redis)}\nours:  {Show(received[i].Ours)}";
                return (name + Digits().Replace(Cut(Show(received[i].Redis)) + "/" + Cut(Show(received[i].Ours)), "0"), text);
            }
        }

        return null;
    }

    private static string Cut(string text) => text[..Math.Min(text.Length, 40)];

    private static string Show(byte[] bytes)
    {
        var text = new StringBuilder();
        foreach (byte b in bytes.AsSpan(0, Math.Min(bytes.Length, 1500)))
        {
            if (b is >= 32 and < 127 and not (byte)'\\')
                text.Append((char)b);
            else if (b is (byte)'\r')
                text.Append("\\r");
            else if (b is (byte)'\n')
                text.Append("\\n");
            else
                text.Append(CultureInfo.InvariantCulture, $"\\x{b:x2}");
        }

        return text.ToString();
    }

    private static ulong? Number(string variable) =>
        ulong.TryParse(Environment.GetEnvironmentVariable(variable), CultureInfo.InvariantCulture, out ulong value) ? value : null;

    [GeneratedRegex(@"\d+", RegexOptions.None, 1000)]
    private static partial Regex Digits();
}
