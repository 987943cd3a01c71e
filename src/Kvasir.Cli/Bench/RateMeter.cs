using System.Diagnostics;
using System.Globalization;

namespace Kvasir.Cli.Bench;

/// <summary>
/// Looks at a running count once a second: the slowest whole second for the report, a line of progress for a person at
/// a terminal.
/// </summary>
internal sealed class RateMeter : IDisposable
{
    private readonly Func<long> _count;
    private readonly Func<string>? _progress;
    private readonly Timer _timer;
    private readonly long _begun = Stopwatch.GetTimestamp();
    private readonly Lock _gate = new();
    private long _lastCount;
    private long _lastTime;
    private bool _stopped;

    /// <param name="count">What has been done so far; called from a timer's thread.</param>
    /// <param name="progress">The rest of the progress line; null for none.</param>
    public RateMeter(Func<long> count, Func<string>? progress)
    {
        _count = count;
        _progress = Console.IsErrorRedirected ? null : progress;
        _lastTime = _begun;
        _timer = new Timer(_ => Sample(), null, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));
    }

    /// <summary>Operations a second in the slowest whole second; null for runs of less than two seconds.</summary>
    public double? WorstSecond { get; private set; }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_stopped)
                return;
            _stopped = true;
            _timer.Dispose();
            if (_progress is not null)
                Console.Error.Write("\r\e[K");
        }
    }

    private void Sample()
    {
        lock (_gate)
        {
            if (_stopped)
                return;
            long now = Stopwatch.GetTimestamp();
            long count = _count();
            double rate = (count - _lastCount) / Stopwatch.GetElapsedTime(_lastTime, now).TotalSeconds;
            (_lastCount, _lastTime) = (count, now);
            if (WorstSecond is null || rate < WorstSecond)
                WorstSecond = rate;
            if (_progress is not null)
            {
                Console.Error.Write(string.Create(CultureInfo.InvariantCulture,
                    $"\r\e[K{Stopwatch.GetElapsedTime(_begun, now).TotalSeconds,4:0} s  {rate,12:N0}/s  {_progress()}"));
            }
        }
    }
}
