namespace Kvasir.Server.Transport;

/// <summary>The listening sockets that an event loop is told of. Added and removed by any thread; the loop does the rest.</summary>
internal sealed class LoopListeners(int epoll)
{
    /// <summary>Set in the token of an event that is a listener's; the rest of it is the descriptor.</summary>
    public const ulong Tokens = 1UL << 63;

    private readonly Lock _lock = new();
    private volatile int[] _descriptors = [];
    private bool _paused;

    /// <summary>Negative when the system refuses.</summary>
    public int Add(int fd)
    {
        lock (_lock)
            _descriptors = [.. _descriptors, fd];
        return Control(LinuxCalls.EpollAdd, fd, LinuxCalls.EpollIn);
    }

    /// <summary>The caller closes it.</summary>
    public void Remove(int fd)
    {
        lock (_lock)
            _descriptors = [.. _descriptors.Where(d => d != fd)];
        _ = Control(LinuxCalls.EpollDelete, fd, 0);
    }

    /// <summary>Reports no arrivals until <see cref="Resume"/>.</summary>
    public void Pause()
    {
        _paused = true;
        foreach (int fd in _descriptors)
            _ = Control(LinuxCalls.EpollModify, fd, 0);
    }

    public void Resume()
    {
        if (!_paused)
            return;
        _paused = false;
        foreach (int fd in _descriptors)
            _ = Control(LinuxCalls.EpollModify, fd, LinuxCalls.EpollIn);
    }

    private int Control(int operation, int fd, int events) => LinuxCalls.EpollControl(epoll, operation, fd, events, Tokens | (uint)fd);
}
