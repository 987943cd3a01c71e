using System.Text;
using Kvasir.Primitives;
using Kvasir.Wire.Resp;

namespace Kvasir.Wire.Tests.Resp;

public sealed class RespReplyScannerTests
{
    private static readonly string[] s_replies =
    [
        "+OK\r\n", "-ERR no\r\n", ":12\r\n", "$-1\r\n", "$0\r\n\r\n", "$5\r\na\r\nbc\r\n", "*0\r\n", "*-1\r\n", "*2\r\n$1\r\na\r\n*1\r\n:1\r\n",
        "%1\r\n+a\r\n*2\r\n:1\r\n:2\r\n", "~1\r\n#t\r\n", "_\r\n", ",1.5\r\n", "=7\r\ntxt:abc\r\n", "|1\r\n+k\r\n+v\r\n*1\r\n:3\r\n",
    ];

    [Fact]
    public void EndsAreFoundHoweverTheBytesCome()
    {
        for (ulong seed = 0; seed < 300; seed++)
        {
            SeededRandom random = new(seed);
            string[] replies = [.. Enumerable.Range(0, 20).Select(_ => s_replies[random.Next(s_replies.Length)])];
            byte[] stream = Encoding.ASCII.GetBytes(string.Concat(replies));
            List<string> found = [];
            RespReplyScanner scanner = new();
            int start = 0;
            for (int end = 0; end < stream.Length;)
            {
                end = Math.Min(stream.Length, end + random.Next(1, 12));
                while (scanner.Measure(stream.AsSpan(start, end - start)) is var length and > 0)
                {
                    found.Add(Encoding.ASCII.GetString(stream, start, length));
                    start += length;
                }
            }

            Assert.True(replies.SequenceEqual(found), $"seed {seed}");
        }
    }

    [Fact]
    public void WhatIsNoRespIsToldAsSuch()
    {
        RespReplyScanner scanner = new();
        Assert.Equal(0, scanner.Measure("*2\r\n:1\r\n"u8));
        Assert.Throws<RespFormatException>(() => scanner.Measure("*2\r\n:1\r\nnonsense\r\n"u8));
    }
}
