using System.Globalization;
using System.Text;
using Kvasir.Primitives;
using Kvasir.Wire.Resp;

namespace Kvasir.Wire.Tests;

public sealed class BulkStringTests
{
    /// <summary>Whatever the length before: the header is made to fit.</summary>
    [Fact]
    public void BodyThatOthersAppendIsFramedWhateverItsLength()
    {
        int[] lengths = [0, 9, 10, 99, 100, 3, 1000, 0, 12345, 100, 100_000, 1];
        foreach (int prefixLength in new[] { 0, 1, 3, 20 })
        {
            BytesBuffer buffer = new(16);
            RespWriter writer = new(buffer);
            StringBuilder expected = new();
            foreach (int length in lengths)
            {
                string body = new((char)('a' + (length % 26)), length);
                int mark = writer.BeginBulkString(prefixLength);
                buffer.Append(Encoding.ASCII.GetBytes(new string('#', prefixLength)));
                buffer.Append(Encoding.ASCII.GetBytes(body));
                Assert.Equal(new string('#', prefixLength) + body, Encoding.ASCII.GetString(writer.AppendedSince(mark, prefixLength)));
                writer.EndBulkString(mark, prefixLength);
                expected.Append(CultureInfo.InvariantCulture, $"${length}\r\n{body}\r\n");
            }

            Assert.Equal(expected.ToString(), Encoding.ASCII.GetString(buffer.WrittenSpan));
        }
    }
}
