using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Kvasir.Wire.Resp;

namespace Kvasir.Wire.Tests.Resp;

public class RequestGlanceTests
{
    [Theory]
    [InlineData("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", 20, "k")]
    [InlineData("*1\r\n$4\r\nPING\r\n", 14, "")]
    [InlineData("*3\r\n$3\r\nSET\r\n$0\r\n\r\n$1\r\nv\r\n", 26, "")]
    [InlineData("*2\r\n$3\r\nGET\r\n$12\r\nabcdefghijkl\r\nrest", 32, "abcdefghijkl")]
    public void Sees_the_key_and_the_end_of_a_whole_request(string text, int end, string key)
    {
        int at = 0;

        Assert.True(RequestGlance.TryNext(Encoding.ASCII.GetBytes(text), ref at, out _, out ReadOnlySpan<byte> seen));

        Assert.Equal(end, at);
        Assert.Equal(key, Encoding.ASCII.GetString(seen));
    }

    [Theory]
    [InlineData("")]
    [InlineData("PING\r\n")]
    [InlineData("*0\r\n")]
    [InlineData("*-1\r\n")]
    [InlineData("*17\r\n$1\r\na\r\n")]
    [InlineData("*99999\r\n$1\r\na\r\n")]
    [InlineData("*1\r\n$-1\r\n")]
    [InlineData("*1\r\n:1\r\nx")]
    [InlineData("*1\n$1\na\n")]
    [InlineData("*\r\n$1\r\na\r\n")]
    public void Gives_up_at_anything_else_and_stays_where_it_was(string text)
    {
        int at = 0;

        Assert.False(RequestGlance.TryNext(Encoding.ASCII.GetBytes(text), ref at, out _, out _));

        Assert.Equal(0, at);
    }

    [Fact]
    public void Sees_what_the_parser_will_see_and_nothing_of_a_part()
    {
        Gen<byte[]> words = ArbMap.Default.GeneratorFor<byte[]>().Where(static w => w is not null);
        Prop.ForAll(words.NonEmptyListOf().Where(static l => l.Count <= 16).ToArbitrary(), arguments =>
        {
            byte[] request = [.. Encode([.. arguments])];
            int at = 0;
            Assert.True(RequestGlance.TryNext(request, ref at, out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> key));
            Assert.Equal(request.Length, at);
            Assert.Equal(arguments[0], name.ToArray());
            Assert.Equal(arguments.Count > 1 ? arguments[1] : [], key.ToArray());
            for (int length = 0; length < request.Length; length++)
            {
                int part = 0;
                Assert.False(RequestGlance.TryNext(request.AsSpan(0, length), ref part, out _, out _));
            }
        }).QuickCheckThrowOnFailure();
    }

    private static IEnumerable<byte> Encode(IReadOnlyList<byte[]> arguments) =>
        Encoding.ASCII.GetBytes($"*{arguments.Count}\r\n")
            .Concat(arguments.SelectMany(a => Encoding.ASCII.GetBytes($"${a.Length}\r\n").Concat(a).Concat("\r\n"u8.ToArray())));
}
