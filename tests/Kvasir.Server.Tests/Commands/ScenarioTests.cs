using System.Globalization;
using System.Text;

namespace Kvasir.Server.Tests.Commands;

/// <summary>
/// Every scenario runs here against our commands, and again against the installed Redis, so that what the tables expect
/// is what Redis answers. (Scenarios in which time passes run against ours only.)
/// </summary>
public sealed class ScenarioTests
{
    public static TheoryData<string> Names => [.. Scenarios.All.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void ScenarioAnswersAsWritten(string name)
    {
        using var world = new CommandWorld();
        foreach (ScenarioLine line in ScenarioText.Parse(Scenarios.All[name]))
        {
            if (line.IsDirective)
                world.Advance(TimeSpan.FromMilliseconds(int.Parse(Encoding.Latin1.GetString(line.Arguments[1]), CultureInfo.InvariantCulture)));
            else
                Compare(line, world.Execute(line.Arguments));
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void RedisAnswersTheSame(string name)
    {
        ScenarioLine[] lines = [.. ScenarioText.Parse(Scenarios.All[name])];
        if (lines.Any(line => line.IsDirective))
            return;
        using RedisPeer? peer = RedisPeer.TryStart();
        if (peer is null)
            return;
        foreach (ScenarioLine line in lines)
            Compare(line, peer.Execute(line.Arguments));
    }

    private static void Compare(ScenarioLine line, byte[] actual)
    {
        if (line.Reply is not null)
            Assert.True(line.Reply.AsSpan().SequenceEqual(actual), $"{line.Text}\n  answered {Show(actual)}");
    }

    private static string Show(byte[] reply) => Encoding.Latin1.GetString(reply).Replace("\r\n", "\\r\\n", StringComparison.Ordinal);
}
