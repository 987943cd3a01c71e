using Kvasir.Samples.EventLog;

namespace Kvasir.Samples.Tests;

public sealed class EventLogTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void EventsAreNumberedByStreamAndStayInOrder()
    {
        using (var log = new EventJournal(_folder))
        {
            Assert.Equal(0, log.Append("orders", "a", "b"));
            Assert.Equal(0, log.Append("orders2", "other"));
            Assert.Equal(2, log.Append("orders", "c"));
        }

        using var again = new EventJournal(_folder);
        Assert.Equal(3, again.Append("orders", [.. Enumerable.Range(3, 400).Select(i => $"{i}")]));
        Assert.Equal([(0L, "a"), (1L, "b"), (2L, "c"), (3L, "3")], again.Read("orders").Take(4));
        Assert.Equal(Enumerable.Range(0, 403).Select(i => (long)i), again.Read("orders").Select(e => e.Number));
        Assert.Equal([(402L, "402")], again.Read("orders", from: 402));
        Assert.Equal([(0L, "other")], again.Read("orders2"));
    }

    [Fact]
    public void WhatIsDroppedIsGoneAndNumbersGoOn()
    {
        using (var log = new EventJournal(_folder))
        {
            log.Append("s", "0", "1", "2");
            log.DropBefore("s", 2);
            Assert.Equal([(2L, "2")], log.Read("s"));
            log.DropBefore("s", 100);
        }

        using var again = new EventJournal(_folder);
        Assert.Equal([(2L, "2")], again.Read("s"));
        Assert.Equal(3, again.Append("s", "3"));
    }
}
