namespace Kvasir.Server.Tests.Peers;

/// <summary>The machine's clock, which a test puts forward.</summary>
internal sealed class SkewedTime : TimeProvider
{
    private long _ahead;

    public override long GetTimestamp() => System.GetTimestamp() + Volatile.Read(ref _ahead);

    public void Advance(TimeSpan time) => Interlocked.Add(ref _ahead, (long)(time.TotalSeconds * TimestampFrequency));
}
