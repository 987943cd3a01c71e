using System.Text;

namespace Kvasir.Server.Tests.Commands;

/// <summary>Monitoring reads INFO by the names of its fields: none that Redis has may be missing.</summary>
public sealed class InfoFieldTests
{
    [Fact]
    public void EverySectionHasTheFieldsOfRedis()
    {
        using RedisPeer? peer = RedisPeer.TryStart();
        if (peer is null)
        {
            Console.WriteLine($"no redis-server {RedisPeer.Version} is installed: nothing to compare with");
            return;
        }

        using var world = new CommandWorld();
        foreach (string section in new[] { "server", "clients", "memory", "persistence", "stats", "replication", "cpu", "cluster" })
        {
            string[] missing = [.. Fields(peer.Execute("INFO", section)).Except(Fields(world.Execute("INFO", section)), StringComparer.Ordinal)];
            Assert.True(missing.Length == 0, $"{section} lacks {string.Join(' ', missing)}");
        }
    }

    [Fact]
    public void RatiosAreThoseOfTheFieldsTheyAreMadeOf()
    {
        using var world = new CommandWorld();
        Dictionary<string, string> memory = Lines(world.Execute("INFO", "memory")).ToDictionary(static l => l[0], static l => l[1], StringComparer.Ordinal);

        Assert.Equal(Of("allocator_resident") - Of("allocator_active"), Of("allocator_rss_bytes"));
        Assert.Equal(Of("allocator_active") - Of("allocator_allocated"), Of("allocator_frag_bytes"));
        Assert.Equal(Of("used_memory_rss") - Of("allocator_resident"), Of("rss_overhead_bytes"));

        long Of(string name) => long.Parse(memory[name], System.Globalization.CultureInfo.InvariantCulture);
    }

    private static IEnumerable<string> Fields(byte[] reply) => Lines(reply).Select(static l => l[0]);

    private static IEnumerable<string[]> Lines(byte[] reply) =>
        Encoding.Latin1.GetString(reply).Split("\r\n").Select(static l => l.Split(':', 2)).Where(static l => l.Length == 2);
}
