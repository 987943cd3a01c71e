using Kvasir.Cluster.Directory;

namespace Kvasir.Cluster.Tests.Directory;

public sealed class LocalityTests
{
    [Theory]
    [InlineData("")]
    [InlineData("zone=a")]
    [InlineData("region=eu-1,zone=a.b,rack=r_7")]
    public void IsReadAsItIsWritten(string text)
    {
        Assert.True(Locality.TryParse(text, out Locality? locality, out _));
        Assert.Equal(text, locality.ToString());
        Assert.True(Locality.TryParse(text, out Locality? again, out _));
        Assert.Equal(locality, again);
    }

    [Theory]
    [InlineData("zone", "key=value")]
    [InlineData("=a", "key=value")]
    [InlineData("zone=", "key=value")]
    [InlineData("zone=a,", "key=value")]
    [InlineData("zone=a b", "key=value")]
    [InlineData("zone=a=b", "key=value")]
    [InlineData("zone=a,zone=b", "two labels 'zone'")]
    [InlineData("a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1", "8 labels at most")]
    public void NonsenseIsRefused(string text, string reason)
    {
        Assert.False(Locality.TryParse(text, out _, out string? refusal));
        Assert.Contains(reason, refusal, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "", 0)]
    [InlineData("zone=a", "zone=a", 0)]
    [InlineData("zone=a", "zone=b", 128)]
    [InlineData("zone=a", "", 128)]
    [InlineData("region=eu,zone=a", "region=us,zone=a", 128)]
    [InlineData("region=eu,zone=a", "region=eu,zone=b", 64)]
    [InlineData("region=eu,zone=a", "region=eu", 64)]
    [InlineData("region=eu,zone=a,rack=1", "region=eu,zone=a,rack=2", 32)]
    public void TheFirstLabelThatDiffersTellsHowFar(string a, string b, int distance)
    {
        Assert.Equal(distance, Read(a).DistanceTo(Read(b)));
        Assert.Equal(distance, Read(b).DistanceTo(Read(a)));
    }

    private static Locality Read(string text) => Locality.TryParse(text, out Locality? locality, out _) ? locality : throw new ArgumentException(text, nameof(text));
}
