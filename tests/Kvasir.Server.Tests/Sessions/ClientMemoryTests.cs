using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Kvasir.Server.Sessions;
using Kvasir.Server.Tests.Commands;

namespace Kvasir.Server.Tests.Sessions;

/// <summary>maxmemory-clients, and what CLIENT LIST says of memory.</summary>
public sealed partial class ClientMemoryTests : IDisposable
{
    private readonly CommandWorld _world = new();

    [Fact]
    public void ClosesAClientThatQueuesTooMuch()
    {
        _world.Execute("CONFIG", "SET", "maxmemory-clients", "20mb");
        SessionPeer client = _world.Connect();
        client.Execute("MULTI");
        int queued = 0;
        while (!client.IsClosed && queued < 100)
        {
            client.Execute("SET"u8.ToArray(), "k"u8.ToArray(), new byte[1 << 20]);
            queued++;
            Settle();
        }

        Assert.InRange(queued, 18, 20);
        Assert.Contains("evicted_clients:1\r\n", Info("stats"), StringComparison.Ordinal);
        Assert.DoesNotContain($"id={client.Session.Client.Id} ", List(), StringComparison.Ordinal);
    }

    [Fact]
    public void AnArgumentCountsFromWhenItsLengthIsKnown()
    {
        _world.Execute("CONFIG", "SET", "maxmemory-clients", "2mb");
        SessionPeer client = _world.Connect();

        // What is left of it may come in one piece, be executed, and be gone before anybody has counted it.
        client.Send("*2\r\n$4\r\nECHO\r\n$3000000\r\nx"u8);
        Settle();
        Assert.True(client.IsClosed);
    }

    [Fact]
    public void ClosesTheLargestUntilTheRestFits()
    {
        SessionPeer[] clients = [.. Enumerable.Range(1, 8).Select(i => Holding(i * 100_000))];
        SessionPeer safe = Holding(3_000_000, "CLIENT NO-EVICT on");
        _world.Execute("CONFIG", "SET", "maxmemory-clients", "5500000");
        Settle();

        // 3.0 MB are safe, and 3.6 beside it: of the class from 512 KiB the oldest goes first, and one more.
        Assert.Equal([false, false, false, false, false, true, true, false], clients.Select(static c => c.IsClosed));
        Assert.False(safe.IsClosed);
    }

    [Fact]
    public void WhoIsNoLongerSafeIsClosed()
    {
        _world.Execute("CONFIG", "SET", "maxmemory-clients", "1mb");
        SessionPeer safe = _world.Connect();
        safe.Execute("CLIENT NO-EVICT on");
        safe.Execute("SETRANGE big 1999999 x");
        safe.Send("GET big\r\nGET big\r\n"u8, receives: false);
        Settle();
        Assert.False(safe.IsClosed);
        safe.Send("CLIENT NO-EVICT off\r\n"u8, receives: false);
        Settle();
        Assert.True(safe.IsClosed);
    }

    [Fact]
    public void PipelineStopsAtTheLimit()
    {
        _world.Execute("CONFIG", "SET", "maxmemory-clients", "2mb");
        _world.Execute("SETRANGE", "big", "999999", "x");
        SessionPeer client = _world.Connect();
        client.Send(Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("GET big\r\n", 30))), receives: false);
        Assert.InRange(client.Session.Output.Length, 2 << 20, 4 << 20);
        Assert.True(client.Session.HasMore);
    }

    [Fact]
    public void ReplyThatLeavesClosesNobody()
    {
        _world.Execute("SETRANGE", "big", "9999999", "x");
        _world.Execute("CONFIG", "SET", "maxmemory-clients", "2mb");
        SessionPeer reads = _world.Connect();
        for (int i = 0; i < 10; i++)
        {
            Assert.Equal(10_000_013, reads.Execute("GET"u8.ToArray(), "big"u8.ToArray()).Length);
            Settle();
        }

        Assert.False(reads.IsClosed);
    }

    [Fact]
    public void MemoryOfAClientThatIsGoneCountsNoMore()
    {
        _world.Execute("CONFIG", "SET", "maxmemory-clients", "4mb");
        for (int i = 0; i < 10; i++)
        {
            SessionPeer client = Holding(1_000_000);
            Settle();
            Assert.False(client.IsClosed);
            client.Close();
        }
    }

    [Theory]
    [InlineData("0", 1 << 30, 0)]
    [InlineData("1", 1 << 30, 128 << 10)]
    [InlineData("20971520", 0, 20 << 20)]
    [InlineData("7%", 100_000_000, 7_000_000)]
    [InlineData("7%", 0, 0)]
    [InlineData("0%", 100_000_000, 0)]
    public void LimitMayBeAPartOfTheMemory(string setting, long memoryMax, long limit) =>
        Assert.Equal(limit, ClientMemory.LimitOf(setting, memoryMax));

    [Fact]
    public void ClientListTellsWhatIsQueuedAndWatched()
    {
        SessionPeer client = _world.Connect();
        client.Execute("WATCH watched");
        long before = Field(client, "tot-mem");
        client.Execute("MULTI");
        for (int i = 0; i < 5; i++)
            client.Execute("SET"u8.ToArray(), "k"u8.ToArray(), new byte[100_000]);
        Assert.InRange(Field(client, "multi-mem"), 500_000, 502_000);
        Assert.InRange(Field(client, "tot-mem") - before, 500_000, 502_000);
        client.Execute("DISCARD");
        Assert.Equal(0, Field(client, "multi-mem"));
        Assert.Contains(" argv-mem=10 ", List(), StringComparison.Ordinal);
    }

    [Fact]
    public void ClientListTellsWhatHasComeOfACommand()
    {
        SessionPeer client = Holding(100_000);
        Assert.Equal(4 + 100_000, Field(client, "argv-mem"));
        Assert.InRange(Field(client, "tot-mem"), 100_000, 210_000);
        client.Send("$1\r\nk\r\n"u8);
        Assert.Equal(0, Field(client, "argv-mem"));
        Assert.InRange(Field(client, "tot-mem"), 1000, 8000);
    }

    public void Dispose() => _world.Dispose();

    /// <summary>A client in the middle of a request.</summary>
    private SessionPeer Holding(int bytes, string? first = null)
    {
        SessionPeer client = _world.Connect();
        if (first is not null)
            client.Execute(first);
        client.Send(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"*3\r\n$4\r\nMGET\r\n${bytes}\r\n")));
        client.Send([.. new byte[bytes], .. "\r\n"u8]);
        return client;
    }

    /// <summary>As owners do when they have sent.</summary>
    private void Settle()
    {
        if (_world.Server.ClientMemory.IsOver)
            _world.Node.Mailbox.Post(_world.Server.ClientMemory);
    }

    private string List() => Encoding.Latin1.GetString(_world.Execute("CLIENT", "LIST"));

    private string Info(string section) => Encoding.Latin1.GetString(_world.Execute("INFO", section));

    private long Field(SessionPeer client, string name)
    {
        string line = List().Split('\n').Single(l => l.Contains($"id={client.Session.Client.Id} ", StringComparison.Ordinal));
        return long.Parse(Fields().Matches(line).Single(m => m.Groups[1].Value == name).Groups[2].Value, CultureInfo.InvariantCulture);
    }

    [GeneratedRegex("([a-z-]+)=([0-9]+)")]
    private static partial Regex Fields();
}
