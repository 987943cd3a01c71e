using System.Text;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Tests.Replicas;

public sealed class SessionTableTests
{
    private const ulong Session = 7;

    /// <summary>A script of what a log tells, then what is asked; numbers are positions, sessions and sequences.</summary>
    [Theory]
    [InlineData("", "7.1@0", "new")]
    [InlineData("5:7.1=OK", "7.1@4", "OK at 5")]
    [InlineData("5:7.1=OK", "7.1@0", "OK at 5")]
    [InlineData("5:7.1=OK", "7.2@0", "new")]
    [InlineData("5:7.1=OK", "8.1@0", "new")]
    [InlineData("5:7.1=OK 5:8.1=:3 6:7.2=:9", "8.1@4", ":3 at 5")]
    [InlineData("5:7.1=OK 5:8.1=:3 6:7.2=:9", "7.2@4", ":9 at 6")]
    [InlineData("5:7.1=OK,7.3=:4,7.9=:5", "7.3@4", ":4 at 5")]
    [InlineData("5:7.1=OK,7.3=:4,7.9=:5", "7.2@4", "new")]
    [InlineData("5:7.1=LONG", "7.1@4", "no reply at 5")]
    [InlineData("5:7.1=x,7.2=:3", "7.1@4", "no reply at 5")]
    [InlineData("5:7.1=x,7.2=:3", "7.2@4", ":3 at 5")]
    [InlineData("5:7.1=OK forget6", "7.1@4", "unknown")]
    [InlineData("5:7.1=OK forget6", "7.2@5", "unknown")]
    [InlineData("5:7.1=OK forget6", "7.2@6", "new")]
    [InlineData("forget6 7:7.1=OK", "7.1@0", "OK at 7")]
    [InlineData("forget6 7:7.1=OK", "7.2@5", "unknown")]
    [InlineData("5:7.1=OK 6:7.2=OK cut5", "7.1@4", "OK at 5")]
    [InlineData("5:7.1=OK 6:7.2=OK cut5", "7.2@4", "new")]
    [InlineData("5:7.1=OK 6:7.2=OK cut5 6:8.1=OK", "8.1@4", "OK at 6")]
    [InlineData("5:7.1=OK,7.3=+OK\r\n,7.9=:5", "7.3@4", "+OK\r\n at 5")]
    [InlineData("5:7.1=OK,7.3=+OK\r\n,7.9=:5", "7.9@4", ":5 at 5")]
    [InlineData("5:7.1=OK trim", "7.1@4", "OK at 5")]
    public void TellsWhatTheLogHas(string script, string question, string answer)
    {
        SessionTable table = new(LogPosition.Zero);
        foreach (string step in script.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            Do(table, step);
        Assert.Equal(answer, Ask(table, question));
    }

    [Fact]
    public void NeverSaysThatSomethingIsNewWhichItHasForgotten()
    {
        SessionTable table = new(LogPosition.Zero, bytesMax: 1 << 10);
        SeededRandom random = new(1);
        for (ulong position = 1; position <= 5000; position++)
        {
            for (int i = random.Next(3); i >= 0; i--)
                table.Add(new LogPosition(position), Note(position % 5, [((position * 4) + (ulong)i, new string('r', 2 + random.Next(40)))]));
            Assert.True(table.Floor.Value < position || position == 0);
            ulong asked = Math.Max(1, position - (ulong)random.Next((int)Math.Min(position, 60)));
            string answer = Ask(table, $"{asked % 5}.{asked * 4}@{asked - 1}");
            Assert.True(answer.EndsWith($" at {asked}", StringComparison.Ordinal) || (answer == "unknown" && table.Floor.Value >= asked), $"{asked} of {position}: {answer}");
            Assert.Equal(asked - 1 < table.Floor.Value ? "unknown" : "new", Ask(table, $"9.1@{asked - 1}"));
        }

        Assert.True(table.Floor.Value > 4900);
    }

    [Fact]
    public void NotesThatAreTooLongAreForgottenAtOnce()
    {
        SessionTable table = new(LogPosition.Zero, bytesMax: 1 << 10);
        table.Add(new LogPosition(3), Note(Session, [.. Enumerable.Range(0, 100).Select(i => ((ulong)i, "a reply"))]));
        table.Add(new LogPosition(3), Note(8, [(1, "OK")]));
        Assert.Equal("unknown", Ask(table, "7.5@2"));
        Assert.Equal("unknown", Ask(table, "8.1@2"));
        Assert.Equal("new", Ask(table, "8.2@3"));
        table.Add(new LogPosition(4), Note(8, [(2, "OK")]));
        Assert.Equal("OK at 4", Ask(table, "8.2@3"));
    }

    [Fact]
    public void SessionBeginsWhereNothingOfItCanBeInTheLog()
    {
        SessionTable table = new(LogPosition.Zero);
        Assert.True(table.MayBegin(Session, LogPosition.Zero));
        table.Add(new LogPosition(3), Note(Session, [(1, "OK")]));
        Assert.False(table.MayBegin(Session, LogPosition.Zero));
        Assert.True(table.MayBegin(8, LogPosition.Zero));
        table.Forget(new LogPosition(4));
        Assert.False(table.MayBegin(8, new LogPosition(3)));
        Assert.True(table.MayBegin(8, new LogPosition(4)));
    }

    [Fact]
    public void MemoryIsGivenBackForTheFloor()
    {
        SessionTable table = new(LogPosition.Zero);
        for (ulong i = 1; i <= 500; i++)
            table.Add(new LogPosition(i), Note(Session, [(i, "OK")]));
        Assert.Equal("OK at 5", Ask(table, "7.5@4"));
        table.Trim();
        Assert.Equal("unknown", Ask(table, "7.5@4"));
        Assert.Equal("OK at 490", Ask(table, "7.490@489"));
        Assert.Equal("new", Ask(table, "7.501@490"));
    }

    [Theory]
    [InlineData("")]
    [InlineData("03")]
    [InlineData("030700000000000000")]
    [InlineData("01070000000000000001024F4B")]
    [InlineData("03070000000000000001034F4B")]
    [InlineData("0307000000000000000102")]
    [InlineData("030700000000000000FF")]
    public void NoteThatMakesNoSenseIsNone(string hex) => Assert.False(WriteNote.IsValid(Convert.FromHexString(hex)));

    [Fact]
    public void NoteIsAsTheFormatSays() =>
        Assert.Equal("03070000000000000001034F4B21800100020101063A312D320D0A", Convert.ToHexString(Note(Session, [(1, "OK!"), (129, "LONG"), (131, "+OK\r\n"), (132, ":1-2\r\n")])));

    private static void Do(SessionTable table, string step)
    {
        if (step == "trim")
        {
            table.Trim();
        }
        else if (step.StartsWith("forget", StringComparison.Ordinal))
        {
            table.Forget(Position(step["forget".Length..]));
        }
        else if (step.StartsWith("cut", StringComparison.Ordinal))
        {
            table.TruncateAfter(Position(step["cut".Length..]));
        }
        else
        {
            string[] parts = step.Split(':', 2);
            string[][] writes = [.. parts[1].Split(',').Select(w => w.Split('=', '.'))];
            table.Add(Position(parts[0]), Note(Number(writes[0][0]), [.. writes.Select(w => (Number(w[1]), w[2]))]));
        }
    }

    private static string Ask(SessionTable table, string question)
    {
        string[] parts = question.Split('.', '@');
        WriteFate fate = table.Find(new WriteId(Number(parts[0]), Number(parts[1])), Position(parts[2]), out ReadOnlySpan<byte> reply, out LogPosition position);
        return fate switch
        {
            WriteFate.Applied => $"{Encoding.ASCII.GetString(reply)} at {position.Value}",
            WriteFate.AppliedWithoutReply => $"no reply at {position.Value}",
            WriteFate.Unknown => "unknown",
            _ => "new",
        };
    }

    private static byte[] Note(ulong session, (ulong Sequence, string Reply)[] writes)
    {
        BytesBuffer note = new();
        WriteNote.Begin(note, session);
        ulong previous = 0;
        foreach ((ulong sequence, string reply) in writes)
        {
            WriteNote.Add(note, previous, sequence, Encoding.ASCII.GetBytes(reply == "LONG" ? new string('x', WriteNote.ReplyBytesMax + 1) : reply));
            previous = sequence;
        }

        return note.WrittenSpan.ToArray();
    }

    private static LogPosition Position(string text) => new(Number(text));

    private static ulong Number(string text) => ulong.Parse(text, System.Globalization.CultureInfo.InvariantCulture);
}
