using System.Text;
using Kvasir.Primitives;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Tests.Sessions;

public sealed class SessionOutputTests
{
    [Fact]
    public void GatedRepliesWaitForTheLogAndHoldBackWhatFollows()
    {
        SessionOutput output = new();
        Write(output, "a");
        Gated(output, "b", 10);
        Write(output, "c");
        Gated(output, "d", 20);
        Assert.Equal("a", Take(output, 0));
        Assert.Equal("", Take(output, 9));
        Assert.Equal("bc", Take(output, 10));
        Assert.Equal("d", Take(output, 25));
        Assert.Equal(0, output.Length);
    }

    [Fact]
    public void RepliesThatNeverBecomeDurableBecomeErrors()
    {
        SessionOutput output = new();
        Gated(output, "a", 10);
        Gated(output, "b", 20);
        Write(output, "c");
        Gated(output, "d", 30);
        output.Fail(new LogPosition(15), "MISCONF full");
        Assert.Equal("a-MISCONF full\r\nc-MISCONF full\r\n", Take(output, 15));
    }

    [Fact]
    public void RandomSendingKeepsTheOrder()
    {
        for (ulong seed = 0; seed < 200; seed++)
        {
            SeededRandom random = new(seed);
            SessionOutput output = new();
            StringBuilder expected = new();
            StringBuilder sent = new();
            ulong position = 0;
            ulong durable = 0;
            for (int i = 0; i < 400; i++)
            {
                string text = new((char)('a' + (i % 26)), random.Next(1, 3000));
                expected.Append(text);
                if (random.OneIn(2))
                    Gated(output, text, ++position);
                else
                    Write(output, text);
                if (random.OneIn(3))
                    durable = Math.Min(position, durable + (ulong)random.Next(4));
                Memory<byte> bytes = output.Sendable(new LogPosition(durable));
                int count = random.Next(bytes.Length + 1);
                if (count == 0)
                    continue;
                sent.Append(Encoding.ASCII.GetString(bytes.Span[..count]));
                output.Sent(count);
            }

            sent.Append(Take(output, position));
            Assert.True(expected.Equals(sent), $"seed {seed}");
        }
    }

    private static void Write(SessionOutput output, string text) => output.Buffer.Append(Encoding.ASCII.GetBytes(text));

    private static void Gated(SessionOutput output, string text, ulong position)
    {
        int start = output.Buffer.Length;
        Write(output, text);
        output.AddGate(new LogPosition(position), start, 1);
    }

    private static string Take(SessionOutput output, ulong durable)
    {
        Memory<byte> bytes = output.Sendable(new LogPosition(durable));
        string text = Encoding.ASCII.GetString(bytes.Span);
        if (bytes.Length != 0)
            output.Sent(bytes.Length);
        return text;
    }
}
