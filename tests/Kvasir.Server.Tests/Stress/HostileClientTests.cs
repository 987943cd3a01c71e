using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Primitives;
using Kvasir.Server.Hosting;
using Kvasir.Server.Tests.Commands;
using Kvasir.Server.Tests.Hosting;

namespace Kvasir.Server.Tests.Stress;

/// <summary>
/// Clients that send what they should not, in pieces, or stop listening: each is answered as Redis answers or closed with a
/// reason, the others do not notice, and nothing of it is left behind.
/// </summary>
public sealed class HostileClientTests
{
    private const int BulkBytesMax = 1 << 20;

    /// <summary>A stream of valid requests, some bytes of it changed, in random pieces: beside a real Redis where there is one.</summary>
    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 3)]
    public async Task WhatIsNotQuiteRightIsAnsweredAsRedisDoes(ulong seed, int loops)
    {
        if (!OperatingSystem.IsLinux())
            return;
        await using ServedNode served = await ServedNode.Start(Options(loops));
        using RedisPeer? redis = RedisPeer.TryStart();
        redis?.Execute("CONFIG", "SET", "proto-max-bulk-len", BulkBytesMax.ToString(CultureInfo.InvariantCulture));
        using RespClient witness = new(served.Server.Resp[0]);
        SeededRandom random = new(seed);
        List<string> differences = [];
        for (int i = 0; i < 150 * Crew.Scale; i++)
        {
            // Only one of the two gets what cannot be compared.
            byte[] stream = Mutate(ValidStream(random), random);
            Assert.Equal("OK", witness.Call("FLUSHALL"));
            redis?.Execute("FLUSHALL");
            ulong pieces = random.NextUInt64();
            string answered = Answers(served.Server.Resp[0], stream, new SeededRandom(pieces));
            if (redis is not null && Comparable(stream))
            {
                string expected = Answers(redis.EndPoint, stream, new SeededRandom(pieces));

                // After a protocol error Redis closes while more may be on its way: the end of what it said is lost with the reset.
                bool same = expected == answered
                    || (answered.Contains("-ERR Protocol error", StringComparison.Ordinal) && answered.StartsWith(expected, StringComparison.Ordinal));
                if (!same)
                    differences.Add($"stream {i}: {Show(stream)}\nRedis:  {Show(expected)}\nKvasir: {Show(answered)}");
            }

            Assert.Equal("PONG", witness.Call("PING"));
        }

        AssertAlone(served, witness);
        Assert.True(differences.Count == 0, $"seed {seed}, {differences.Count} differences:\n{string.Join('\n', differences.Take(5))}");
    }

    /// <summary>What is never valid, and must not be waited for or believed.</summary>
    [Theory]
    [InlineData("*-2147483649\r\nPING\r\n", "+PONG\r\n")]
    [InlineData("*-1\r\n*0\r\n\r\nPING\r\n", "+PONG\r\n")]
    [InlineData("*2147483648\r\n", "-ERR Protocol error: invalid multibulk length\r\n")]
    [InlineData("*99999999999999999999\r\n", "-ERR Protocol error: invalid multibulk length\r\n")]
    [InlineData("*1x\r\n", "-ERR Protocol error: invalid multibulk length\r\n")]
    [InlineData("*\r\n", "-ERR Protocol error: invalid multibulk length\r\n")]
    [InlineData("*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length\r\n")]
    [InlineData("*1\r\n$1048577\r\n", "-ERR Protocol error: invalid bulk length\r\n")]
    [InlineData("*1\r\n$9223372036854775807\r\n", "-ERR Protocol error: invalid bulk length\r\n")]
    [InlineData("*1\r\n$04\r\nPING\r\n", "-ERR Protocol error: invalid bulk length\r\n")]
    [InlineData("*1\r\n:4\r\nPING\r\n", "-ERR Protocol error: expected '$', got ':'\r\n")]
    [InlineData("PING\r\n*3\r\n!", "+PONG\r\n")]
    [InlineData("\"PING\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n")]
    public async Task WhatIsNeverValidIsRefused(string stream, string expected)
    {
        if (!OperatingSystem.IsLinux())
            return;
        await using ServedNode served = await ServedNode.Start(Options(loops: 1));
        byte[] bytes = Encoding.Latin1.GetBytes(stream);
        string answered = Answers(served.Server.Resp[0], bytes, pieces: null);

        // A command name with a NUL in it is a name like any other; Redis stops reading the line there.
        Assert.Equal(expected, answered);
        for (int cut = 1; cut < bytes.Length; cut++)
            Assert.Equal(answered, Answers(served.Server.Resp[0], bytes, pieces: null, cut));
        using RespClient witness = new(served.Server.Resp[0]);
        AssertAlone(served, witness);
    }

    [Theory]
    [InlineData('x', "-ERR Protocol error: too big inline request\r\n")]
    [InlineData('*', "-ERR Protocol error: too big mbulk count string\r\n")]
    [InlineData('$', "-ERR Protocol error: too big bulk count string\r\n")]
    public async Task ALineWithoutEndIsCutOff(char kind, string expected)
    {
        if (!OperatingSystem.IsLinux())
            return;
        await using ServedNode served = await ServedNode.Start(Options(loops: 1));
        string start = kind == '$' ? "*1\r\n$" : kind.ToString();
        byte[] line = Encoding.Latin1.GetBytes(start + new string('1', 3 << 20));

        // Much of it is still on its way when the answer is known: that must not keep the answer from arriving.
        Assert.Equal(expected, Answers(served.Server.Resp[0], line, pieces: null));
    }

    [Fact]
    public async Task AValueThatIsTooLongIsRefusedBeforeTheConnectionEnds()
    {
        if (!OperatingSystem.IsLinux())
            return;
        await using ServedNode served = await ServedNode.Start(Options(loops: 1) with { ValueBytesMax = 4 << 20 });
        using RespClient client = new(served.Server.Resp[0]);
        string value = new('v', 4 << 20);
        Assert.Equal("OK", client.Call("SET", "k", value));
        client.Add("SET", "k", value + "x");
        client.Send();
        Assert.Equal("-ERR Protocol error: invalid bulk length\r\n", client.ReceiveToEnd());
        using RespClient witness = new(served.Server.Resp[0]);
        Assert.Equal($":{value.Length}", witness.Call("STRLEN", "k"));
        client.Dispose();
        AssertAlone(served, witness);
    }

    /// <summary>Whoever sends and closes its side still gets all replies, also those that wait for the disk.</summary>
    [Theory]
    [InlineData(1, Durability.Sync)]
    [InlineData(3, Durability.Sync)]
    [InlineData(3, Durability.None)]
    public async Task AHalfClosedConnectionGetsItsReplies(int loops, Durability durability)
    {
        if (!OperatingSystem.IsLinux())
            return;
        await using ServedNode served = await ServedNode.Start(Options(loops), durability);
        for (int round = 0; round < 30; round++)
        {
            StringBuilder request = new();
            StringBuilder expected = new();
            for (int i = 0; i < 1 + (round * 20); i++)
            {
                request.Append(CultureInfo.InvariantCulture, $"SET key:{i} {round}\r\nGET key:{i}\r\n");
                expected.Append(CultureInfo.InvariantCulture, $"+OK\r\n${round.ToString(CultureInfo.InvariantCulture).Length}\r\n{round}\r\n");
            }

            Assert.Equal(expected.ToString(), Answers(served.Server.Resp[0], Encoding.Latin1.GetBytes(request.ToString()), pieces: null));
        }

        using RespClient witness = new(served.Server.Resp[0]);
        AssertAlone(served, witness);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task ClientsThatVanishLeaveNothingBehind(int loops)
    {
        if (!OperatingSystem.IsLinux())
            return;
        await using ServedNode served = await ServedNode.Start(Options(loops), Durability.Sync);
        using RespClient witness = new(served.Server.Resp[0]);
        SeededRandom random = new(5);
        for (int i = 0; i < 200 * Crew.Scale; i++)
        {
            using Socket socket = Connect(served.Server.Resp[0]);
            if (random.OneIn(2))
                socket.LingerState = new LingerOption(enable: true, seconds: 0);
            string commands = random.Next(6) switch
            {
                0 => "WATCH k\r\nMULTI\r\nSET k 1\r\n",
                1 => "SUBSCRIBE a b c\r\n",
                2 => "MONITOR\r\nPING\r\n",
                3 => "*2\r\n$1000000\r\nabc",
                4 => string.Concat(Enumerable.Repeat("SET k v\r\nGET k\r\n", 500)),
                _ => "HELLO 3\r\nCLIENT TRACKING on BCAST\r\nGET k\r\n",
            };
            socket.Send(Encoding.Latin1.GetBytes(commands));
            if (random.OneIn(2) && !commands.StartsWith('*'))
                socket.Receive(new byte[10]);
        }

        Assert.Equal("PONG", witness.Call("PING"));
        AssertAlone(served, witness);
        Assert.Empty(served.Server.State.Monitors);
        Assert.Equal("[\"a\" :0 \"b\" :0]", witness.Call("PUBSUB", "NUMSUB", "a", "b"));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task AClientThatDoesNotReadIsMadeToWait(bool readsInTheEnd)
    {
        if (!OperatingSystem.IsLinux())
            return;
        const int ValueBytes = 500_000;
        const int Gets = 600;
        await using ServedNode served = await ServedNode.Start(Options(loops: 1));
        using RespClient witness = new(served.Server.Resp[0]);
        Assert.Equal("OK", witness.Call("SET", "large", new string('v', ValueBytes)));
        using RespClient slow = new(served.Server.Resp[0]);
        for (int i = 0; i < Gets; i++)
            slow.Add("GET", "large");
        slow.Add("SET", "after", "1");
        slow.Send();

        // It asked for 300 MB: no more of it than a bound is made before it reads.
        for (int i = 0; i < 200; i++)
            Assert.Equal("PONG", witness.Call("PING"));
        Assert.InRange(served.Server.State.Clients.All.Max(c => c.Output.Length), 1, (64 << 20) + ValueBytes + 100);
        Assert.Equal("nil", witness.Call("GET", "after"));
        if (readsInTheEnd)
        {
            for (int i = 0; i < Gets; i++)
                Assert.Equal(ValueBytes + 2, slow.Receive().Length);
            Assert.Equal("OK", slow.Receive());
            Assert.Equal("\"1\"", witness.Call("GET", "after"));
        }

        slow.Dispose();
        AssertAlone(served, witness);
    }

    private static ServerOptions Options(int loops) =>
        new() { Resp = [new(IPAddress.Loopback, 0)], IoThreads = loops, ValueBytesMax = BulkBytesMax };

    /// <summary>Only the witness is left, once the server has heard of all the ends.</summary>
    /// <remarks>
    /// A client is counted when its connection is accepted, not when its connect returns: before it has been answered,
    /// the one client that the server counts may be somebody else.
    /// </remarks>
    private static void AssertAlone(ServedNode served, RespClient witness)
    {
        Assert.Equal("PONG", witness.Call("PING"));
        Stopwatch waited = Stopwatch.StartNew();
        while (served.Server.State.Clients.Count != 1)
        {
            Assert.True(waited.Elapsed < TimeSpan.FromMinutes(5), $"{served.Server.State.Clients.Count} are there");
            Assert.Equal("PONG", witness.Call("PING"));
        }

        Assert.Contains("connected_clients:1\r\n", witness.Call("INFO", "clients"), StringComparison.Ordinal);
    }

    /// <summary>Sends all, closes its side, and takes what comes until the end.</summary>
    private static string Answers(IPEndPoint server, byte[] stream, SeededRandom? pieces, int cut = 0)
    {
        using RespClient client = new(server);
        try
        {
            int at = 0;
            while (at < stream.Length)
            {
                int length = stream.Length - at;
                if (pieces is not null && pieces.OneIn(3))
                    length = Math.Min(length, pieces.Next(1, 40));
                else if (cut > at)
                    length = cut - at;
                client.SendRaw(stream.AsSpan(at, length));
                at += length;
            }

            client.Socket.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // Closed already: what it said before can still be read.
        }

        return client.ReceiveToEnd();
    }

    private static byte[] ValidStream(SeededRandom random)
    {
        BytesBuffer stream = new();
        for (int i = random.Next(1, 8); i > 0; i--)
        {
            string key = "k" + random.Next(4).ToString(CultureInfo.InvariantCulture);
            string[] words = random.Next(9) switch
            {
                0 => ["PING"],
                1 => ["ECHO", "again"],
                2 => ["SET", key, new string('v', random.Next(30))],
                3 => ["GET", key],
                4 => ["INCR", "n" + key],
                5 => ["MULTI"],
                6 => ["EXEC"],
                7 => ["MGET", key, "k1", "k2"],
                _ => ["APPEND", key, "\r\n$1\r\n"],
            };
            if (random.OneIn(4) && !words.Contains("APPEND"))
                stream.Append(Encoding.Latin1.GetBytes(string.Join(' ', words) + (random.OneIn(2) ? "\r\n" : "\n")));
            else
                RespClient.Encode(stream, words);
        }

        return stream.WrittenSpan.ToArray();
    }

    private static byte[] Mutate(byte[] stream, SeededRandom random)
    {
        List<byte> bytes = [.. stream];
        for (int i = random.Next(4); i > 0 && bytes.Count > 0; i--)
        {
            int at = random.Next(bytes.Count);
            switch (random.Next(6))
            {
                case 0: bytes[at] = (byte)random.Next(256); break;
                case 1: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                case 2: bytes.RemoveAt(at); break;
                case 3: bytes.Insert(at, (byte)"*$\r\n-0129 \"'\0"[random.Next(13)]); break;
                case 4: bytes.RemoveRange(at, Math.Min(random.Next(1, 12), bytes.Count - at)); break;
                default: bytes.InsertRange(at, [.. bytes.Skip(random.Next(bytes.Count)).Take(random.Next(20))]); break;
            }
        }

        return [.. bytes];
    }

    /// <summary>
    /// Redis looks for the end of a line with C's string functions, and waits for ever behind a NUL. What is longer than its
    /// first read may be cut off by an early end in another place.
    /// </summary>
    private static bool Comparable(byte[] stream) => !stream.Contains((byte)0);

    private static Socket Connect(IPEndPoint server)
    {
        Socket socket = new(server.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true, ReceiveTimeout = 300_000 };
        socket.Connect(server);
        return socket;
    }

    private static string Show(byte[] bytes) => Show(Encoding.Latin1.GetString(bytes));

    private static string Show(string text) => string.Concat(text.Select(c => c is >= ' ' and <= '~' ? c.ToString() : $"\\x{(int)c:X2}"));
}
