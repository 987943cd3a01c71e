using Kvasir.Simulation.Scheduling;

namespace Kvasir.Simulation.Nodes;

/// <summary>Time as one process sees it: by its machine's clock, with timers that wait while it stands still and end with it.</summary>
internal sealed class ProcessClock(NodeProcess process, NodeClock machine) : TimeProvider
{
    private readonly NodeProcess _process = process;
    private readonly NodeClock _machine = machine;
    private readonly List<ProcessTimer> _timers = [];

    public override TimeZoneInfo LocalTimeZone => TimeZoneInfo.Utc;

    public override long TimestampFrequency => _machine.TimestampFrequency;

    public override long GetTimestamp() => _machine.GetTimestamp();

    public override DateTimeOffset GetUtcNow() => _machine.GetUtcNow();

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new ProcessTimer(this, callback, state);
        _timers.Add(timer);
        timer.Change(dueTime, period);
        return timer;
    }

    public void End()
    {
        foreach (ProcessTimer timer in _timers.ToArray())
            timer.Dispose();
    }

    private TimeSpan InTrueTime(TimeSpan time) =>
        time < TimeSpan.Zero ? time : TimeSpan.FromTicks((long)(time.Ticks / _machine.Rate) + (time > TimeSpan.Zero ? 1 : 0));

    private sealed class ProcessTimer : ITimer
    {
        private readonly ProcessClock _owner;
        private readonly ITimer _timer;
        private bool _isWaiting;

        public ProcessTimer(ProcessClock owner, TimerCallback callback, object? state)
        {
            _owner = owner;

            // Asked for at any time, a timer of a process that stands still fires once when it goes on.
            _timer = owner._machine.CreateTimer(
                _ =>
                {
                    if (_isWaiting)
                        return;
                    _isWaiting = true;
                    owner._process.Happen(() =>
                    {
                        _isWaiting = false;
                        callback(state);
                    });
                },
                null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        }

        public bool Change(TimeSpan dueTime, TimeSpan period) => _timer.Change(_owner.InTrueTime(dueTime), _owner.InTrueTime(period));

        public void Dispose()
        {
            _timer.Dispose();
            _owner._timers.Remove(this);
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
