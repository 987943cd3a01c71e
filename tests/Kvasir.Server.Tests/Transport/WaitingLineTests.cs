using Kvasir.Server.Transport;

namespace Kvasir.Server.Tests.Transport;

public sealed class WaitingLineTests
{
    private readonly List<string> _asked = [];
    private readonly Dictionary<string, long> _done = [];

    [Fact]
    public void WhoHasWaitedLongestIsAskedFirst()
    {
        WaitingLine<string> line = Line("a", "b", "c");
        line.Resume(Stays());
        line.Resume(Stays());
        Assert.Equal(["a", "b", "c", "a", "b", "c"], _asked);
    }

    [Fact]
    public void WhoGotOnAndWaitsAgainIsAskedBehindAllOthers()
    {
        WaitingLine<string> line = Line("a", "b", "c");
        line.Resume(Stays(getsOn: "a"));
        Assert.Equal(["a", "b", "c"], Asked(line));
        line.Resume(Stays(getsOn: "b"));
        Assert.Equal(["b", "c", "a"], _asked[^3..]);
        line.Resume(Stays());
        Assert.Equal(["c", "a", "b"], _asked[^3..]);
    }

    [Fact]
    public void WithRoomForOneAtATimeEverybodyGetsOn()
    {
        WaitingLine<string> line = Line("a", "b", "c", "d");
        for (int turn = 0; turn < 12; turn++)
        {
            bool hasRoom = true;
            line.Resume(who =>
            {
                if (hasRoom)
                    _done[who]++;
                hasRoom = false;
                return true;
            });
        }

        Assert.All(_done.Values, static d => Assert.Equal(3, d));
    }

    [Fact]
    public void WhoWaitsNoLongerLeaves()
    {
        WaitingLine<string> line = Line("a", "b", "c");
        line.Resume(static who => who != "b");
        Assert.Equal(["a", "c"], Asked(line));
    }

    private static string[] Asked(WaitingLine<string> line) => [.. Enumerable.Range(0, line.Count).Select(i => line[i])];

    private WaitingLine<string> Line(params string[] waiting)
    {
        WaitingLine<string> line = new(who => _done[who]);
        foreach (string who in waiting)
        {
            _done[who] = 0;
            line.Add(who);
        }

        return line;
    }

    private Func<string, bool> Stays(string? getsOn = null) => who =>
    {
        _asked.Add(who);
        if (who == getsOn)
            _done[who]++;
        return true;
    };
}
