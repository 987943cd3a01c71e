using System.Runtime.InteropServices;

namespace Kvasir.Primitives.Tests;

public sealed partial class ThreadSliceTests
{
    /// <summary>Linux from 6.12 on tells the slice back, and the niceness is what it was; before, and elsewhere, asking is harmless.</summary>
    [Fact]
    public void AThreadThatAsksHasAShortSliceAndItsOwnNiceness()
    {
        ulong[]? before = null, after = null, ofChild = null;
        Run(() =>
        {
            if (OperatingSystem.IsLinux())
                Assert.Equal(0, SetPriority(0, 0, 7));
            before = Attributes();
            ThreadSlice.AskForShort();
            after = Attributes();
            Run(() => ofChild = Attributes());
        });
        if (before is null || Environment.OSVersion.Version < new Version(6, 12))
            return;
        Assert.Equal(7, (int)(uint)after![2]);
        Assert.Equal(before[2], after[2]);
        Assert.Equal(100_000ul, after[3]);
        Assert.NotEqual(100_000ul, ofChild![3]);
    }

    private static void Run(Action action)
    {
        Exception? thrown = null;
        var thread = new Thread(() => thrown = Record.Exception(action));
        thread.Start();
        thread.Join();
        Assert.Null(thrown);
    }

    // struct sched_attr: size and policy, flags, niceness and priority, slice, ...
    private static ulong[]? Attributes()
    {
        nint call = RuntimeInformation.ProcessArchitecture switch
        {
            Architecture.X64 => 315,
            Architecture.Arm64 => 275,
            _ => 0,
        };
        ulong[] attributes = new ulong[6];
        return call != 0 && OperatingSystem.IsLinux() && Get(call, 0, attributes, 48, 0) == 0 ? attributes : null;
    }

    [LibraryImport("libc", EntryPoint = "syscall")]
    private static partial nint Get(nint call, nint thread, [Out] ulong[] attributes, nint bytes, nint flags);

    [LibraryImport("libc", EntryPoint = "setpriority")]
    private static partial int SetPriority(int which, int who, int niceness);
}
