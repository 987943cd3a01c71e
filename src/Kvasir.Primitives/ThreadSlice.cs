using System.Runtime.InteropServices;

namespace Kvasir.Primitives;

/// <summary>
/// How long a thread is let run before another gets its turn. A thread with a short slice that wakes takes the processor from one that
/// has a long one, within its share: so threads that somebody waits for go first, and those that copy or compact lose no work by it.
/// </summary>
/// <remarks>
/// Linux 6.12 and later (EEVDF: Stoica and Abdel-Wahab, "Earliest Eligible Virtual Deadline First", 1995; the slice is
/// <c>sched_runtime</c> of <c>sched_setattr</c>(2)); elsewhere nothing changes. No privilege is needed.
/// </remarks>
public static unsafe partial class ThreadSlice
{
    // The least that the system grants.
    private const ulong ShortNanoseconds = 100_000;

    private const int AttributeBytes = 48;
    private const uint OrdinaryPolicy = 0;
    private const ulong ResetOnFork = 1;

    /// <summary>Asks for the shortest slice for the calling thread, and not for those that it starts. Its niceness stays.</summary>
    public static void AskForShort()
    {
        (nint get, nint set) = RuntimeInformation.ProcessArchitecture switch
        {
            Architecture.X64 => (315, 314),
            Architecture.Arm64 => (275, 274),
            _ => (0, 0),
        };
        if (get == 0 || !OperatingSystem.IsLinux())
            return;
        Attributes attributes = default;
        if (Get(get, 0, &attributes, AttributeBytes, 0) != 0 || attributes.Policy != OrdinaryPolicy)
            return;
        attributes.Size = AttributeBytes;
        attributes.Flags |= ResetOnFork;
        attributes.RunTime = ShortNanoseconds;

        // A system that refuses it has told nothing that matters: the thread keeps the slice that it has.
        _ = Set(set, 0, &attributes, 0);
    }

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial nint Get(nint call, nint thread, Attributes* attributes, nint bytes, nint flags);

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial nint Set(nint call, nint thread, Attributes* attributes, nint flags);

    // struct sched_attr of its first version.
    [StructLayout(LayoutKind.Sequential)]
    private struct Attributes
    {
        public uint Size;
        public uint Policy;
        public ulong Flags;
        public int Nice;
        public uint Priority;
        public ulong RunTime;
        public ulong DeadlineTime;
        public ulong PeriodTime;
    }
}
