using System.Text;
using Kvasir.Primitives;
using Kvasir.Wire.Resp;

namespace Kvasir.Wire.Tests.Resp;

public sealed class RespRequestParserTests
{
    private const string Stream =
        "*1\r\n$4\r\nPING\r\n"
        + "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$12\r\nhello\r\nworld\r\n"
        + "*0\r\n"
        + "\r\n"
        + "*-1\r\n"
        + "GET  k\r\n"
        + "SET 'a b' \"c\\x41\\n\\\"\"\n"
        + "*2\r\n$0\r\n\r\n$100\r\n";

    public static TheoryData<string, string> Hostile => new()
    {
        { "*x\r\n", "Protocol error: invalid multibulk length" },
        { "*01\r\n", "Protocol error: invalid multibulk length" },
        { "*+1\r\n", "Protocol error: invalid multibulk length" },
        { "*\r\n", "Protocol error: invalid multibulk length" },
        { "*3000000000\r\n", "Protocol error: invalid multibulk length" },
        { "*99999999999999999999999\r\n", "Protocol error: invalid multibulk length" },
        { "*1\r\n+4\r\n", "Protocol error: expected '$', got '+'" },
        { "*1\r\n\r\n", "Protocol error: expected '$', got '\r'" },
        { "*1\r\n$-1\r\n", "Protocol error: invalid bulk length" },
        { "*1\r\n$x\r\n", "Protocol error: invalid bulk length" },
        { "*1\r\n$4\nPING\r\n", "Protocol error: invalid bulk length" },
        { "*1\r\n$67108865\r\n", "Protocol error: invalid bulk length" },
        { "*1\r\n$9223372036854775807\r\n", "Protocol error: invalid bulk length" },
        { "GET \"a\r\n", "Protocol error: unbalanced quotes in request" },
        { "GET 'a\r\n", "Protocol error: unbalanced quotes in request" },
        { "GET \"a\"b\r\n", "Protocol error: unbalanced quotes in request" },
    };

    [Theory]
    [MemberData(nameof(Hostile))]
    public void HostileRequestsFailWithTheWordsOfRedis(string request, string error)
    {
        RespRequestParser parser = new(new RespRequestLimits());
        Assert.Equal(RespParseStatus.Error, parser.Parse(Encoding.Latin1.GetBytes(request)));
        Assert.Equal(error, parser.Error);
    }

    [Theory]
    [InlineData('*', "Protocol error: too big mbulk count string")]
    [InlineData('a', "Protocol error: too big inline request")]
    public void EndlessLinesFail(char first, string error)
    {
        RespRequestParser parser = new(new RespRequestLimits());
        byte[] line = Encoding.ASCII.GetBytes(first + new string('1', 64 * 1024));
        Assert.Equal(RespParseStatus.Incomplete, parser.Parse(line.AsSpan(0, 64 * 1024)));
        Assert.Equal(RespParseStatus.Error, parser.Parse(line));
        Assert.Equal(error, parser.Error);
    }

    [Fact]
    public void EndlessBulkHeaderFails()
    {
        RespRequestParser parser = new(new RespRequestLimits());
        Assert.Equal(RespParseStatus.Error, parser.Parse(Encoding.ASCII.GetBytes("*1\r\n$" + new string('1', 64 * 1024))));
        Assert.Equal("Protocol error: too big bulk count string", parser.Error);
    }

    [Fact]
    public void StrangersGetSmallRequestsOnly()
    {
        RespRequestParser many = new(new RespRequestLimits()) { Authenticated = false };
        Assert.Equal(RespParseStatus.Error, many.Parse("*11\r\n"u8));
        Assert.Equal("Protocol error: unauthenticated multibulk length", many.Error);
        RespRequestParser large = new(new RespRequestLimits()) { Authenticated = false };
        Assert.Equal(RespParseStatus.Error, large.Parse("*2\r\n$16385\r\n"u8));
        Assert.Equal("Protocol error: unauthenticated bulk length", large.Error);
        RespRequestParser longer = new(new RespRequestLimits { BulkBytesMax = 64 << 20 }) { Authenticated = false };
        Assert.Equal(RespParseStatus.Error, longer.Parse("*1\r\n$100000000\r\n"u8));
        Assert.Equal("Protocol error: unauthenticated bulk length", longer.Error);
        RespRequestParser longest = new(new RespRequestLimits { BulkBytesMax = 64 << 20 }) { Authenticated = false };
        Assert.Equal(RespParseStatus.Error, longest.Parse("*1\r\n$536870913\r\n"u8));
        Assert.Equal("Protocol error: invalid bulk length", longest.Error);
        RespRequestParser small = new(new RespRequestLimits()) { Authenticated = false };
        Assert.Equal(RespParseStatus.Incomplete, small.Parse("*10\r\n$16384\r\n"u8));
    }

    [Fact]
    public void TheWholeStreamIsReadAsMeant() => Assert.Equal(
        ["PING", "SET|k|hello\r\nworld", "", "", "", "GET|k", "SET|a b|cA\n\"", "|" + new string('v', 100)],
        ReadAll([Bytes()]));

    [Fact]
    public void EverySplitInTwoReadsTheSame()
    {
        byte[] bytes = Bytes();
        List<string> whole = ReadAll([bytes]);
        for (int split = 0; split <= bytes.Length; split++)
            Assert.Equal(whole, ReadAll([bytes[..split], bytes[split..]]));
    }

    [Fact]
    public void EveryPrefixIsReadAsFarAsItGoesAndNeverFails()
    {
        byte[] bytes = Bytes();
        List<string> whole = ReadAll([bytes]);
        for (int length = 0; length < bytes.Length; length++)
        {
            List<string> part = ReadAll([bytes[..length]]);
            Assert.Equal(whole.Take(part.Count), part);
        }
    }

    [Fact]
    public void RandomPiecesReadTheSame()
    {
        byte[] bytes = Bytes();
        List<string> whole = ReadAll([bytes]);
        for (ulong seed = 0; seed < 500; seed++)
        {
            SeededRandom random = new(seed);
            List<byte[]> pieces = [];
            for (int at = 0; at < bytes.Length;)
            {
                int size = Math.Min(random.Next(1, 12), bytes.Length - at);
                pieces.Add(bytes[at..(at + size)]);
                at += size;
            }

            Assert.True(whole.SequenceEqual(ReadAll(pieces), StringComparer.Ordinal), $"seed {seed}");
        }
    }

    [Fact]
    public void RandomBytesNeverThrow()
    {
        ReadOnlySpan<byte> alphabet = "*$0123456789-+\r\n\"'\\x abPING"u8;
        for (ulong seed = 0; seed < 20_000; seed++)
        {
            SeededRandom random = new(seed);
            byte[] bytes = new byte[random.Next(1, 40)];
            for (int i = 0; i < bytes.Length; i++)
                bytes[i] = alphabet[random.Next(alphabet.Length)];
            RespRequestParser parser = new(new RespRequestLimits { BulkBytesMax = 64 });
            int at = 0;
            while (at < bytes.Length && parser.Parse(bytes.AsSpan(at)) == RespParseStatus.Complete)
            {
                Assert.True(parser.Consumed > 0, $"seed {seed}");
                at += parser.Consumed;
            }
        }
    }

    [Fact]
    public void AnUnfinishedValueSaysHowMuchIsMissing()
    {
        RespRequestParser parser = new(new RespRequestLimits());
        byte[] head = "*2\r\n$3\r\nGET\r\n$1000000\r\nabc"u8.ToArray();
        Assert.Equal(RespParseStatus.Incomplete, parser.Parse(head));
        Assert.Equal(head.Length - 3 + 1_000_002, parser.BytesWanted);
    }

    private static byte[] Bytes() => Encoding.Latin1.GetBytes(Stream + new string('v', 100) + "\r\n");

    private static List<string> ReadAll(IEnumerable<byte[]> pieces)
    {
        RespRequestParser parser = new(new RespRequestLimits());
        List<string> requests = [];
        byte[] buffer = [];
        foreach (byte[] piece in pieces)
        {
            buffer = [.. buffer, .. piece];
            while (true)
            {
                RespParseStatus status = parser.Parse(buffer);
                Assert.NotEqual(RespParseStatus.Error, status);
                if (status == RespParseStatus.Incomplete)
                    break;
                byte[] source = parser.InlineBytes ?? buffer;
                requests.Add(string.Join('|', parser.Arguments.Take(parser.ArgumentCount)
                    .Select(a => Encoding.Latin1.GetString(source, a.Offset, a.Length))));
                buffer = buffer[parser.Consumed..];
            }
        }

        return requests;
    }
}
