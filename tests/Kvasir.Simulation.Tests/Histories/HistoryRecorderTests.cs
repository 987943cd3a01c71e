using Kvasir.Simulation.Histories;
using Kvasir.Simulation.Scheduling;

namespace Kvasir.Simulation.Tests.Histories;

public sealed class HistoryRecorderTests
{
    private static readonly DateTimeOffset s_start = DateTimeOffset.UnixEpoch;

    private readonly SimulatedClock _clock = new(s_start);
    private readonly HistoryClock _time;

    public HistoryRecorderTests() => _time = new HistoryClock(_clock);

    [Fact]
    public void RecordersMergeByTimeWithInvocationsFirst()
    {
        var first = new HistoryRecorder(0, 2, _time);
        var second = new HistoryRecorder(1, 2, _time);
        first.Invoke(OperationKind.Write, "x", HistoryValue.Of(1));
        _clock.Advance(TimeSpan.FromMicroseconds(5));
        first.Ok();
        second.Invoke(OperationKind.Read, "x");
        _clock.Advance(TimeSpan.FromMicroseconds(5));
        second.Ok(HistoryValue.Of(1), ageNs: 3);

        List<HistoryEvent> merged = HistoryRecorder.Merge(first, second);
        Assert.Equal([EventKind.Invoke, EventKind.Invoke, EventKind.Ok, EventKind.Ok], merged.Select(e => e.Kind));
        Assert.Equal([0, 1, 0, 1], merged.Select(e => e.Process));
        Assert.Equal(5000, merged[2].TimeNs - merged[0].TimeNs);
        Assert.Equal(3, merged[3].AgeNs);
    }

    [Fact]
    public void AClientInDoubtGoesOnAsAnotherProcess()
    {
        var recorder = new HistoryRecorder(3, 10, _time);
        recorder.Invoke(OperationKind.Increment, "x");
        recorder.Info();
        recorder.Invoke(OperationKind.Increment, "x");
        recorder.Fail();
        recorder.Invoke(OperationKind.Read, "x");
        Assert.Equal([3, 3, 13, 13, 13], recorder.Events.Select(e => e.Process));

        List<HistoryOperation> operations = HistoryOperation.Pair(HistoryRecorder.Merge(recorder));
        Assert.Equal([OperationKind.Increment, OperationKind.Read], operations.Select(o => o.Kind));
        Assert.All(operations, o => Assert.False(o.IsCertain));
        Assert.All(operations, o => Assert.Equal(int.MaxValue, o.End));
    }

    [Theory]
    [InlineData("0 ok", "line 1: process 0 ends an operation that it did not begin")]
    [InlineData("0 invoke,0 invoke", "line 2: process 0 begins an operation while another is open")]
    [InlineData("0 invoke,0 ok other", "line 2: process 0 ends another operation than it began")]
    public void HistoriesThatNoClientsCanHaveHadAreRefused(string script, string message)
    {
        HistoryEvent[] events = [.. script.Split(',').Select(line => line.Split(' ')).Select((words, i) => new HistoryEvent(
            int.Parse(words[0]), Enum.Parse<EventKind>(words[1], ignoreCase: true), OperationKind.Read, words.Length > 2 ? words[2] : "x", default, i))];
        Assert.Equal(message, Assert.Throws<HistoryFormatException>(() => HistoryOperation.Pair(events)).Message);
    }
}
