using System.Text;
using Kvasir.Primitives;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Tests.Sessions;

public sealed class SessionOutputTests
{
    private static readonly HandLog s_log = new();

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
        output.Fail(s_log, new LogPosition(15), "MISCONF full", "TRYAGAIN");
        Assert.Equal("a-MISCONF full\r\nc-MISCONF full\r\n", Take(output, 15));
    }

    [Fact]
    public void WhoHasOnlySeenWhatIsLostHearsAnErrorOfItsOwn()
    {
        SessionOutput output = new();
        Gated(output, "a", 10);
        Write(output, "b");
        output.AddReadGate(s_log, new LogPosition(10), 1);
        output.Fail(s_log, new LogPosition(9), "TIMEOUT", "TRYAGAIN");
        Assert.Equal("-TIMEOUT\r\n-TRYAGAIN\r\n", Take(output, 9));
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
                Memory<byte> bytes = Sendable(output, durable);
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

    [Fact]
    public void LossOfOneLogLeavesTheRepliesOfAnother()
    {
        SessionOutput output = new();
        HandLog other = new();
        Gated(output, "a", 10);
        Write(output, "b");
        output.AddGate(other, new LogPosition(10), 1, 1);
        Gated(output, "c", 20);
        output.Fail(other, new LogPosition(9), "TIMEOUT", "TRYAGAIN");
        Assert.Equal("", Take(output, 9));
        Assert.Equal("a-TIMEOUT\r\n", Take(output, 10));
        Assert.Equal("c", Take(output, 20));
    }

    [Fact]
    public void RepliesOfOthersFillTheirPlacesWithoutLosingTheOrder()
    {
        using Commands.CommandWorld world = new();
        for (ulong seed = 0; seed < 200; seed++)
        {
            SeededRandom random = new(seed);
            RespSession session = world.Connect().Session;
            SessionOutput output = session.Output;
            List<(PendingReply Reply, string Text)> open = [];
            StringBuilder expected = new();
            StringBuilder sent = new();
            ulong position = 0;
            ulong durable = 0;
            for (int i = 0; i < 300; i++)
            {
                string text = new((char)('a' + (i % 26)), random.Next(1, 3000));
                expected.Append(text);
                switch (random.Next(3))
                {
                    case 0:
                        Gated(output, text, ++position);
                        break;
                    case 1:
                        Write(output, text);
                        break;
                    default:
                        open.Add((session.AwaitReply()!, text));
                        break;
                }

                if (open.Count != 0 && random.OneIn(2))
                {
                    int at = random.Next(open.Count);
                    open[at].Reply.Replied(Encoding.ASCII.GetBytes(open[at].Text));
                    open.RemoveAt(at);
                }

                if (random.OneIn(3))
                    durable = Math.Min(position, durable + (ulong)random.Next(4));
                Memory<byte> bytes = Sendable(output, durable);
                int count = random.Next(bytes.Length + 1);
                if (count == 0)
                    continue;
                sent.Append(Encoding.ASCII.GetString(bytes.Span[..count]));
                output.Sent(count);
            }

            foreach ((PendingReply reply, string text) in open)
                reply.Replied(Encoding.ASCII.GetBytes(text));
            while (Take(output, position) is { Length: > 0 } more)
                sent.Append(more);
            Assert.True(expected.Equals(sent), $"seed {seed}");
            Assert.Equal(0, output.Length);
            Assert.False(output.HasGates);
        }
    }

    private static Memory<byte> Sendable(SessionOutput output, ulong durable)
    {
        s_log.DurablePosition = new LogPosition(durable);
        output.LookAtLogs();
        return output.Sendable();
    }

    private static void Write(SessionOutput output, string text) => output.Buffer.Append(Encoding.ASCII.GetBytes(text));

    private static void Gated(SessionOutput output, string text, ulong position)
    {
        int start = output.Buffer.Length;
        Write(output, text);
        output.AddGate(s_log, new LogPosition(position), start, 1);
    }

    private static string Take(SessionOutput output, ulong durable)
    {
        Memory<byte> bytes = Sendable(output, durable);
        string text = Encoding.ASCII.GetString(bytes.Span);
        if (bytes.Length != 0)
            output.Sent(bytes.Length);
        return text;
    }
}
