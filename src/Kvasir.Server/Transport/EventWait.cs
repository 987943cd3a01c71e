using System.Diagnostics;

namespace Kvasir.Server.Transport;

/// <summary>
/// How a loop waits for events. While clients answer within microseconds it looks for them instead of sleeping: to wake a
/// thread costs whoever sends several times what the look costs here. As soon as one gap was longer, it sleeps at once again.
/// Used by one thread.
/// </summary>
internal sealed unsafe class EventWait(TimeSpan busyPoll)
{
    private readonly long _lookTicks = (long)(busyPoll.TotalSeconds * Stopwatch.Frequency);
    private bool _answersAtOnce;

    /// <summary>The number of events, each of which takes <see cref="LinuxCalls.EventBytes"/>; zero or less for none in time.</summary>
    public int Next(int epoll, byte* events, int max, long timeoutMicroseconds)
    {
        if (timeoutMicroseconds == 0 || _lookTicks == 0)
            return LinuxCalls.EpollWait(epoll, events, max, timeoutMicroseconds);
        long began = Stopwatch.GetTimestamp();
        int count = 0;
        if (_answersAtOnce)
        {
            do
            {
                count = LinuxCalls.EpollWait(epoll, events, max, 0);
            }
            while (count == 0 && Stopwatch.GetTimestamp() - began < _lookTicks);
        }

        if (count != 0)
            return count;
        count = LinuxCalls.EpollWait(epoll, events, max, timeoutMicroseconds);
        _answersAtOnce = Stopwatch.GetTimestamp() - began < _lookTicks;
        return count;
    }
}
