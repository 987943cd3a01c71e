using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace Kvasir.Server.Transport;

/// <summary>The few system calls of an event loop. Numbers are those of x86-64 and arm64 Linux.</summary>
internal static unsafe partial class LinuxCalls
{
    public const int EpollIn = 1;
    public const int EpollOut = 4;
    public const int EpollError = 8;
    public const int EpollHangUp = 0x10;
    public const int EpollReadHangUp = 0x2000;
    public const int EpollAdd = 1;
    public const int EpollDelete = 2;
    public const int EpollModify = 3;

    public const int Interrupted = 4;
    public const int TryAgain = 11;
    public const int TooManyFiles = 24;
    public const int TooManyFilesInSystem = 23;
    public const int InProgress = 115;

    private const int ShutdownWrite = 1;
    private const int NoSuchCall = 38;
    private const int CloseOnExec = 0x80000;
    private const int NonBlocking = 0x800;
    private const int NoSignal = 0x4000;
    private const int SocketLevel = 1;
    private const int ErrorOption = 4;
    private const int StreamType = 1;
    private const int UnixFamily = 1;
    private const int InetFamily = 2;
    private const int Inet6Family = 10;
    private const int KeepAliveOption = 9;
    private const int TcpLevel = 6;
    private const int NoDelayOption = 1;
    private const int KeepIdleOption = 4;
    private const int KeepIntervalOption = 5;
    private const int KeepCountOption = 6;

    private static bool s_coarse;

    /// <summary>The kernel packs its event to 12 bytes on x86-64 only.</summary>
    public static int EventBytes => RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 12 : 16;

    public static int EventDataOffset => EventBytes - 8;

    public static int EpollCreate() => epoll_create1(CloseOnExec);

    public static int EventCreate() => eventfd(0, CloseOnExec | NonBlocking);

    public static int EpollControl(int epoll, int operation, int fd, int events, ulong data)
    {
        byte* record = stackalloc byte[16];
        *(int*)record = events;
        *(ulong*)(record + EventDataOffset) = data;
        return epoll_ctl(epoll, operation, fd, record);
    }

    /// <summary>Waits with the finer clock of Linux 5.11 where that is there; milliseconds, rounded up, elsewhere.</summary>
    public static int EpollWait(int epoll, byte* events, int max, long timeoutMicroseconds)
    {
        if (timeoutMicroseconds % 1000 == 0 || s_coarse)
            return epoll_wait(epoll, events, max, (int)((timeoutMicroseconds + 999) / 1000));
        try
        {
            long* time = stackalloc long[2];
            time[0] = timeoutMicroseconds / 1_000_000;
            time[1] = timeoutMicroseconds % 1_000_000 * 1000;
            int count = epoll_pwait2(epoll, events, max, time, null);
            if (count >= 0 || Marshal.GetLastPInvokeError() != NoSuchCall)
                return count;
        }
        catch (EntryPointNotFoundException)
        {
            // An older libc: from now on without.
        }

        s_coarse = true;
        return EpollWait(epoll, events, max, timeoutMicroseconds);
    }

    public static int Accept(int listener, byte* address, int* addressLength) =>
        accept4(listener, address, addressLength, CloseOnExec | NonBlocking);

    public static nint Receive(int fd, Span<byte> destination)
    {
        fixed (byte* pointer = destination)
            return recv(fd, pointer, destination.Length, 0);
    }

    public static nint Send(int fd, ReadOnlySpan<byte> source)
    {
        fixed (byte* pointer = source)
            return send(fd, pointer, source.Length, NoSignal);
    }

    /// <summary>Sends several ranges of pinned bytes, one after the other, in one call.</summary>
    public static nint SendGather(int fd, ByteRange* ranges, int count)
    {
        MessageHeader header = new() { Ranges = ranges, RangeCount = (nuint)count };
        return sendmsg(fd, &header, NoSignal);
    }

    /// <summary>A non-blocking TCP socket on its way to an address; negative when the system refuses at once.</summary>
    public static int BeginConnect(IPEndPoint endPoint)
    {
        int family = endPoint.AddressFamily == AddressFamily.InterNetworkV6 ? Inet6Family : InetFamily;
        int fd = socket(family, StreamType | CloseOnExec | NonBlocking, 0);
        if (fd < 0)
            return fd;
        SetNoDelay(fd);
        SocketAddress address = endPoint.Serialize();
        int result;
        fixed (byte* pointer = address.Buffer.Span)
            result = connect(fd, pointer, address.Size);
        if (result >= 0 || Marshal.GetLastPInvokeError() is InProgress or Interrupted)
            return fd;
        int error = Marshal.GetLastPInvokeError();
        Close(fd);
        Marshal.SetLastPInvokeError(error);
        return -1;
    }

    /// <summary>What became of a connection that was begun: 0, or why there is none.</summary>
    public static int ConnectResult(int fd)
    {
        int error = 0;
        int length = sizeof(int);
        return getsockopt(fd, SocketLevel, ErrorOption, &error, &length) < 0 ? Marshal.GetLastPInvokeError() : error;
    }

    /// <summary>Two connected stream sockets within this process, the first of them non-blocking.</summary>
    public static bool TrySocketPair(out int first, out int second)
    {
        int* pair = stackalloc int[2];
        bool made = socketpair(UnixFamily, StreamType | CloseOnExec, 0, pair) == 0;
        (first, second) = made ? (pair[0], pair[1]) : (-1, -1);
        if (made)
            SetNonBlocking(first);
        return made;
    }

    public static void Signal(int eventFd)
    {
        ulong one = 1;
        _ = write(eventFd, &one, 8);
    }

    public static void DrainSignal(int eventFd)
    {
        ulong value;
        _ = read(eventFd, &value, 8);
    }

    public static void Close(int fd) => _ = close(fd);

    /// <summary>The other side hears that nothing more comes; what it sends can still be received.</summary>
    public static void ShutdownSend(int fd) => _ = shutdown(fd, ShutdownWrite);

    public static void SetNoDelay(int fd) => SetOption(fd, TcpLevel, NoDelayOption, 1);

    public static void SetKeepAlive(int fd, int seconds)
    {
        SetOption(fd, SocketLevel, KeepAliveOption, 1);
        SetOption(fd, TcpLevel, KeepIdleOption, seconds);
        SetOption(fd, TcpLevel, KeepIntervalOption, Math.Max(seconds / 3, 1));
        SetOption(fd, TcpLevel, KeepCountOption, 3);
    }

    public static void SetNonBlocking(int fd)
    {
        const int GetFlags = 3;
        const int SetFlags = 4;
        _ = fcntl(fd, SetFlags, fcntl(fd, GetFlags, 0) | NonBlocking);
    }

    public static void SetBlocking(int fd)
    {
        const int GetFlags = 3;
        const int SetFlags = 4;
        _ = fcntl(fd, SetFlags, fcntl(fd, GetFlags, 0) & ~NonBlocking);
    }

    /// <summary>What the calling thread has taken; nothing where the system does not tell.</summary>
    public static (TimeSpan User, TimeSpan System) ThreadProcessorTime()
    {
        const int OfThisThread = 1;
        const int UsageWords = 18;

        // Two times come first, each in seconds and microseconds.
        long* usage = stackalloc long[UsageWords];
        return getrusage(OfThisThread, usage) != 0
            ? default
            : (Time(usage[0], usage[1]), Time(usage[2], usage[3]));

        static TimeSpan Time(long seconds, long microseconds) => new((seconds * TimeSpan.TicksPerSecond) + (microseconds * TimeSpan.TicksPerMicrosecond));
    }

    private static void SetOption(int fd, int level, int option, int value) => _ = setsockopt(fd, level, option, &value, 4);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_create1(int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int eventfd(uint value, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_ctl(int epoll, int operation, int fd, byte* record);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_wait(int epoll, byte* events, int max, int timeoutMs);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_pwait2(int epoll, byte* events, int max, long* timeout, void* signals);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int accept4(int listener, byte* address, int* addressLength, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint recv(int fd, byte* buffer, nint length, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint send(int fd, byte* buffer, nint length, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint sendmsg(int fd, MessageHeader* message, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socket(int family, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int connect(int fd, byte* address, int length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socketpair(int family, int type, int protocol, int* pair);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int getsockopt(int fd, int level, int option, void* value, int* length);

    [LibraryImport("libc")]
    private static partial nint read(int fd, void* buffer, nint length);

    [LibraryImport("libc")]
    private static partial nint write(int fd, void* buffer, nint length);

    [LibraryImport("libc")]
    private static partial int close(int fd);

    [LibraryImport("libc")]
    private static partial int shutdown(int fd, int how);

    [LibraryImport("libc")]
    private static partial int setsockopt(int fd, int level, int option, void* value, int length);

    [LibraryImport("libc")]
    private static partial int getrusage(int who, long* usage);

    [LibraryImport("libc")]
    private static partial int fcntl(int fd, int command, int argument);

    /// <summary>Bytes that do not move: an iovec.</summary>
    public readonly struct ByteRange(byte* start, int length)
    {
        public readonly byte* Start = start;
        public readonly nuint Length = (nuint)length;
    }

    /// <summary>As the kernel knows it: msghdr of 64-bit Linux.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct MessageHeader
    {
        public void* Name;
        public uint NameLength;
        public ByteRange* Ranges;
        public nuint RangeCount;
        public void* Control;
        public nuint ControlLength;
        public int Flags;
    }
}
