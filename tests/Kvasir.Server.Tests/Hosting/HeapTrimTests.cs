using System.Runtime.CompilerServices;
using Kvasir.Server.Hosting;
using Kvasir.Simulation.Scheduling;

namespace Kvasir.Server.Tests.Hosting;

public sealed class HeapTrimTests
{
    private const long LeastBytes = 100;

    private readonly SimulatedClock _clock = new(DateTimeOffset.UnixEpoch);
    private long _usedBytes;
    private long _garbageBytes;
    private int _collections;

    [Fact]
    public void GarbageOfLargeValuesIsGivenBackAtTheNextLook()
    {
        using HeapTrim trim = Start();
        (_usedBytes, _garbageBytes) = (50, 1000);
        Look(1);
        Assert.Equal((1, 0L), (_collections, _garbageBytes));

        // And again, however soon it comes.
        _garbageBytes = 1000;
        Look(1);
        Assert.Equal((2, 0L), (_collections, _garbageBytes));
    }

    [Fact]
    public void ASmallHeapIsLeftAlone()
    {
        using HeapTrim trim = Start();
        (_usedBytes, _garbageBytes) = (50, 50);
        Look(100);
        Assert.Equal(0, _collections);
    }

    [Fact]
    public void AHeapInUseIsLeftAloneForAMinuteOrUntilItHasDoubled()
    {
        using HeapTrim trim = Start();
        _usedBytes = 1000;
        Look(1);
        Assert.Equal(1, _collections);
        Look(11);
        Assert.Equal(1, _collections);
        Look(1);
        Assert.Equal(2, _collections);
        _garbageBytes = 1000;
        Look(1);
        Assert.Equal(2, _collections);
        _garbageBytes = 1001;
        Look(1);
        Assert.Equal((3, 0L), (_collections, _garbageBytes));
    }

    [Fact]
    public void NothingIsLookedAtAfterItsEnd()
    {
        Start().Dispose();
        _garbageBytes = 1000;
        Look(20);
        Assert.Equal(0, _collections);
    }

    [Fact]
    public void TheManagedHeapIsMeasuredAndItsGarbageGivenBack()
    {
        WeakReference value = LargeValue();
        using var trim = new HeapTrim(_clock, leastBytes: 0);
        Look(1);
        Assert.False(value.IsAlive);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference LargeValue()
    {
        byte[] value = new byte[32 << 20];
        Assert.True(HeapTrim.ManagedHeapBytes() >= value.Length);
        return new WeakReference(value);
    }

    private HeapTrim Start() => new(_clock, LeastBytes, () => _usedBytes + _garbageBytes, Collect);

    private void Collect()
    {
        _collections++;
        _garbageBytes = 0;
    }

    private void Look(int times) => _clock.Advance(times * HeapTrim.Period);
}
