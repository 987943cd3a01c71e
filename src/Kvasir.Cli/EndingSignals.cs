using System.Diagnostics;
using System.Runtime.InteropServices;
using Kvasir.Cli.CommandLine;
using Kvasir.Server.Hosting;

namespace Kvasir.Cli;

/// <summary>
/// Signals that ask this process for a clean end. Listened to from the first moment to the last: before, and once nobody
/// listened again, one would end the process by itself and not with an exit code.
/// </summary>
internal static class EndingSignals
{
    // A terminal, a service manager and a launcher may all pass on the one wish of one person.
    private static readonly TimeSpan s_sameWish = TimeSpan.FromSeconds(2);

    private static readonly CancellationTokenSource s_ending = new();

    // One that nobody refers to is finalized, and then listens no more.
    private static readonly List<PosixSignalRegistration> s_registrations = [];

    private static long s_first;
    private static int s_code = ExitCode.Interrupted;

    /// <summary>Cancelled by the first signal.</summary>
    public static CancellationToken Asked => s_ending.Token;

    /// <summary>Of a command that was ended before it was done: as shells have it for the first signal, never one of <see cref="ExitCode"/>'s others.</summary>
    public static int Code => Volatile.Read(ref s_code);

    /// <param name="args">What the process was started with: a server stops cleanly when its terminal goes, too.</param>
    public static void Listen(string[] args)
    {
        Listen(PosixSignal.SIGTERM);
        Listen(PosixSignal.SIGINT);
        if (args is ["server" or "up", ..] && !HangUpSignal.IsIgnored())
            Listen(PosixSignal.SIGHUP);
    }

    private static void Listen(PosixSignal signal) => s_registrations.Add(PosixSignalRegistration.Create(signal, End));

    /// <summary>The first asks for a clean end; one that comes later than with it does not wait for that.</summary>
    private static void End(PosixSignalContext context)
    {
        long first = Interlocked.CompareExchange(ref s_first, Stopwatch.GetTimestamp(), 0);
        if (first != 0 && Stopwatch.GetElapsedTime(first) >= s_sameWish)
            return;
        context.Cancel = true;

        // Those who listen may take a while; the thread that delivers signals must be free for the next one.
        if (first == 0)
        {
            if (context.Signal == PosixSignal.SIGTERM)
                Volatile.Write(ref s_code, ExitCode.Terminated);
            _ = s_ending.CancelAsync();
        }
    }
}
