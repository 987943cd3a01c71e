using Kvasir.Cluster.Groups.Snapshots;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Tests.Groups;

/// <summary>Which files a snapshot says that it has; what comes from another node is believed only where it can mean nothing else.</summary>
public sealed class SnapshotCodecTests
{
    [Fact]
    public void WhatIsWrittenIsRead()
    {
        var bytes = new BytesBuffer();
        SnapshotFile[] files = [new("CURRENT", 7), new("000012.sst", 0), new("MANIFEST-000001", 1L << 40)];
        SnapshotCodec.AddFiles(bytes, "lsm", files);
        Assert.True(SnapshotCodec.TryReadFiles(bytes.WrittenSpan, out string engine, out List<SnapshotFile> read));
        Assert.Equal("lsm", engine);
        Assert.Equal(files, read);
        for (int length = 0; length < bytes.Length; length++)
            Assert.False(SnapshotCodec.TryReadFiles(bytes.WrittenSpan[..length], out _, out _));
        bytes.Append(0);
        Assert.False(SnapshotCodec.TryReadFiles(bytes.WrittenSpan, out _, out _));
    }

    [Theory]
    [InlineData("../x")]
    [InlineData("a/b")]
    [InlineData(".")]
    [InlineData("..")]
    [InlineData(".installed")]
    [InlineData("a\\b")]
    [InlineData("a\0")]
    [InlineData("")]
    public void ANameThatCouldLieElsewhereIsRefused(string name)
    {
        var bytes = new BytesBuffer();
        Text(bytes, "lsm");
        bytes.Append(1);
        Text(bytes, name);
        bytes.Append(3);
        Assert.False(SnapshotCodec.TryReadFiles(bytes.WrittenSpan, out _, out _));
    }

    [Theory]
    [InlineData("a", "a")]
    [InlineData("a", "A")]
    public void TwoFilesOfOneNameAreRefused(string first, string second)
    {
        var bytes = new BytesBuffer();
        Text(bytes, "lsm");
        bytes.Append(2);
        foreach (string name in new[] { first, second })
        {
            Text(bytes, name);
            bytes.Append(3);
        }

        Assert.False(SnapshotCodec.TryReadFiles(bytes.WrittenSpan, out _, out _));
    }

    [Fact]
    public void LengthsThatAreTooLongTogetherAreRefused()
    {
        var bytes = new BytesBuffer();
        SnapshotCodec.AddFiles(bytes, "lsm", [new SnapshotFile("a", long.MaxValue), new SnapshotFile("b", 1)]);
        Assert.False(SnapshotCodec.TryReadFiles(bytes.WrittenSpan, out _, out _));
    }

    private static void Text(BytesBuffer to, string text)
    {
        to.Append((byte)text.Length);
        to.Append(System.Text.Encoding.ASCII.GetBytes(text));
    }
}
