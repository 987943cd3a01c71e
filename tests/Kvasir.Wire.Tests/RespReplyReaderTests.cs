using System.Text;
using Kvasir.Wire.Resp;

namespace Kvasir.Wire.Tests;

public sealed class RespReplyReaderTests
{
    public static TheoryData<string, RespReplyKind> WholeReplies => new()
    {
        { "+OK\r\n", RespReplyKind.SimpleString },
        { "+\r\n", RespReplyKind.SimpleString },
        { "-ERR no\r\n", RespReplyKind.Error },
        { ":-42\r\n", RespReplyKind.Integer },
        { "$3\r\nabc\r\n", RespReplyKind.BulkString },
        { "$4\r\n\r\n\r\n\r\n", RespReplyKind.BulkString },
        { "$0\r\n\r\n", RespReplyKind.BulkString },
        { "$-1\r\n", RespReplyKind.Null },
        { "*-1\r\n", RespReplyKind.Null },
        { "_\r\n", RespReplyKind.Null },
        { ",3.14\r\n", RespReplyKind.Double },
        { "#t\r\n", RespReplyKind.Boolean },
        { "(12345678901234567890\r\n", RespReplyKind.BigNumber },
        { "=7\r\ntxt:abc\r\n", RespReplyKind.Verbatim },
        { "!5\r\nERR x\r\n", RespReplyKind.Error },
        { "*0\r\n", RespReplyKind.Array },
        { "*2\r\n:1\r\n*2\r\n$1\r\na\r\n_\r\n", RespReplyKind.Array },
        { "%2\r\n+a\r\n:1\r\n+b\r\n~1\r\n#f\r\n", RespReplyKind.Map },
        { ">2\r\n+message\r\n$1\r\nx\r\n", RespReplyKind.Push },
        { "|1\r\n+ttl\r\n:3\r\n$1\r\nv\r\n", RespReplyKind.BulkString },
        { "*2\r\n|1\r\n+ttl\r\n:3\r\n:1\r\n:2\r\n", RespReplyKind.Array },
    };

    [Theory]
    [MemberData(nameof(WholeReplies))]
    public void AReplyIsMeasuredWholeAndNoPrefixOfItIs(string reply, RespReplyKind kind)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(reply);
        for (int cut = 0; cut < bytes.Length; cut++)
            Assert.Equal(0, RespReplyReader.Measure(bytes.AsSpan(0, cut), out _));
        byte[] twice = [.. bytes, .. bytes];
        Assert.Equal(bytes.Length, RespReplyReader.Measure(twice, out RespReplyKind found));
        Assert.Equal(kind, found);
    }

    [Fact]
    public void ElementsComeInOrderWithTheirText()
    {
        var reader = new RespReplyReader("%1\r\n$1\r\nk\r\n=6\r\nmkd:hi\r\n:7\r\n"u8);
        Assert.True(reader.TryRead());
        Assert.Equal((RespReplyKind.Map, 2L), (reader.Kind, reader.Count));
        Assert.True(reader.TryRead());
        Assert.Equal("k"u8, reader.Text);
        Assert.True(reader.TryRead());
        Assert.Equal("hi"u8, reader.Text);
        Assert.True(reader.TryRead());
        Assert.Equal((RespReplyKind.Integer, "7"), (reader.Kind, Encoding.ASCII.GetString(reader.Text)));
        Assert.False(reader.TryRead());
    }

    [Theory]
    [InlineData("x\r\n")]
    [InlineData("\r\n")]
    [InlineData("$x\r\n")]
    [InlineData("$-2\r\n")]
    [InlineData("*-7\r\n")]
    [InlineData("$99999999999\r\n")]
    [InlineData("$1\r\nabcd\r\n")]
    [InlineData("=3\r\nabc\r\n")]
    public void WhatIsNoRespIsRefused(string bytes) =>
        Assert.Throws<RespFormatException>(() => RespReplyReader.Measure(Encoding.ASCII.GetBytes(bytes), out _));

    [Fact]
    public void AnEndlessLineIsRefusedRatherThanWaitedFor()
    {
        byte[] line = new byte[RespReplyReader.LineBytesMax + 1];
        Array.Fill(line, (byte)'+');
        Assert.Throws<RespFormatException>(() => RespReplyReader.Measure(line, out _));
    }
}
