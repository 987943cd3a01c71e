namespace Kvasir.Server.Tests.Peers;

/// <summary>A clock that is years ahead, or behind.</summary>
internal sealed class AnotherYear(int years) : TimeProvider
{
    public override DateTimeOffset GetUtcNow() => base.GetUtcNow().AddYears(years);
}
