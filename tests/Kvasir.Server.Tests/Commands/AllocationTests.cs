using System.Text;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Primitives;
using Kvasir.Server.Commands;
using Kvasir.Server.Sessions;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Lsm;

namespace Kvasir.Server.Tests.Commands;

public sealed class AllocationTests
{
    private const int Rounds = 2000;

    /// <summary>From the session's input to its output, through mailbox, journal buffer and LSM engine.</summary>
    [Theory]
    [InlineData("SET key:000000000042 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "+OK\r\n")]
    [InlineData("GET key:000000000007", "$5\r\nhello\r\n")]
    [InlineData("GET missing", "$-1\r\n")]
    [InlineData("INCR counter", ":")]
    [InlineData("EXISTS key:000000000007", ":1\r\n")]
    [InlineData("EXPIRE key:000000000007 1000", ":1\r\n")]
    [InlineData("TTL key:000000000007", ":-1\r\n")]
    public void HotCommandsAllocateNothing(string line, string reply)
    {
        var random = new SeededRandom(1);
        var scheduler = new SimulatedScheduler(random, new SimulatedClock(DateTimeOffset.UnixEpoch.AddYears(50)));
        var environment = new NodeEnvironment(
            new SimulatedFileSystem(random.Fork()), scheduler, [new LsmEngineFactory()], Seed: 1);
        using KvasirNode node = KvasirNode.Open(
            new NodeOptions { Folder = "/data", Durability = Durability.None, MemoryBytes = 64 << 20 }, environment);
        var server = new ServerState(node, scheduler.Time, AllCommands.List);
        var peer = new SessionPeer(server);
        peer.Execute("SET key:000000000007 hello");
        byte[] request = Encode(line);
        Assert.StartsWith(reply, Run(peer.Session, request), StringComparison.Ordinal);

        // The first rounds compile, and grow buffers to their size. Nobody empties the journal's buffer here, so that it
        // doubles now and then: the best of several windows shows what one operation costs.
        for (int i = 0; i < Rounds; i++)
            Repeat(peer.Session, request);
        long least = long.MaxValue;
        for (int window = 0; window < 6; window++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < Rounds / 4; i++)
                Repeat(peer.Session, request);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.Equal(0, least);
    }

    private static string Run(RespSession session, byte[] request)
    {
        Feed(session, request);
        string reply = Encoding.Latin1.GetString(session.Sendable().Span);
        session.Output.Sent(reply.Length);
        return reply;
    }

    private static void Repeat(RespSession session, byte[] request)
    {
        Feed(session, request);
        session.Output.Sent(session.Sendable().Length);
    }

    private static void Feed(RespSession session, byte[] request)
    {
        if (session.Input.Array is null)
            session.Input.Lend(s_lent);
        request.CopyTo(session.Input.Room(request.Length).Span);
        session.Input.Received(request.Length);
        session.Execute();
    }

    private static readonly byte[] s_lent = new byte[4096];

    private static byte[] Encode(string line)
    {
        string[] words = line.Split(' ');
        var text = new StringBuilder();
        text.Append(System.Globalization.CultureInfo.InvariantCulture, $"*{words.Length}\r\n");
        foreach (string word in words)
            text.Append(System.Globalization.CultureInfo.InvariantCulture, $"${word.Length}\r\n{word}\r\n");
        return Encoding.ASCII.GetBytes(text.ToString());
    }
}
