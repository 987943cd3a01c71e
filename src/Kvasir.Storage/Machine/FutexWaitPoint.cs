using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Kvasir.Storage.Scheduling;

namespace Kvasir.Storage.Machine;

/// <summary>
/// Waiting by the system's own means: one call to sleep and one to wake, where a monitor makes several of each. That is most of the
/// price of an operation for which a thread waits.
/// </summary>
internal sealed unsafe class FutexWaitPoint : IWaitPoint
{
    // On a cache line of its own, and nowhere else: the system knows it by its address.
    private readonly int[] _memory = GC.AllocateArray<int>(32, pinned: true);
    private readonly int* _pulses;
    private int _waiters;

    public FutexWaitPoint() => _pulses = (int*)Unsafe.AsPointer(ref _memory[16]);

    /// <summary>The number of futex(2) here; 0 where it is not known.</summary>
    public static int CallNumber { get; } = !OperatingSystem.IsLinux() ? 0 : RuntimeInformation.ProcessArchitecture switch
    {
        Architecture.X64 => 202,
        Architecture.Arm64 => 98,
        _ => 0,
    };

    public void WaitUntil(Func<bool> condition)
    {
        Interlocked.Increment(ref _waiters);
        try
        {
            while (true)
            {
                int seen = Volatile.Read(ref *_pulses);
                if (condition())
                    return;

                // Returns at once when a pulse has come since; when it is interrupted, the condition is looked at once more.
                _ = LibC.Futex(CallNumber, _pulses, LibC.FutexWaitPrivate, seen, 0);
            }
        }
        finally
        {
            Interlocked.Decrement(ref _waiters);
            GC.KeepAlive(_memory);
        }
    }

    public void Pulse()
    {
        // The full fence orders the caller's change before the look at the waiters, as the increment above orders
        // a waiter's entry before its look at the condition: one of the two sees the other.
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _waiters) == 0)
            return;
        Interlocked.Increment(ref *_pulses);
        _ = LibC.Futex(CallNumber, _pulses, LibC.FutexWakePrivate, int.MaxValue, 0);
        GC.KeepAlive(_memory);
    }
}
