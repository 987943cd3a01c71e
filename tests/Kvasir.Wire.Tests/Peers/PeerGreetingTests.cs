using Kvasir.Wire.Peers;

namespace Kvasir.Wire.Tests.Peers;

/// <summary>The examples of docs/formats/peer-protocol.md, and what is read of them.</summary>
public sealed class PeerGreetingTests
{
    private static readonly PeerHello s_hello = new()
    {
        Purpose = PeerPurpose.Link,
        OldestVersion = 1,
        NewestVersion = 3,
        Cluster = 0x1122334455667788,
        Node = 2,
        Expected = 1,
        Incarnation = 0xA1A2A3A4A5A6A7A8,
        LastLink = 5,
    };

    private static readonly PeerWelcome s_welcome = new()
    {
        Version = 1,
        Cluster = 0x1122334455667788,
        Node = 1,
        Incarnation = 0xB1B2B3B4B5B6B7B8,
    };

    public static TheoryData<string, string> Examples => new()
    {
        { "hello", Hex(Written(PeerHello.FrameBytes, s_hello.Write)) },
        { "welcome", Hex(Written(PeerWelcome.FrameBytes, s_welcome.Write)) },
        { "refusal", Hex(new PeerRefusal(PeerRefusalReason.WrongCluster, 1, "no").ToFrame()) },
        { "open", Hex(Written(PeerOpen.FrameBytes, new PeerOpen(6).Write)) },
        { "message", Hex(PeerFrameTests.Frame(PeerFrameKind.Message, [0xAB])) },
        { "ping", Hex(PeerFrameTests.Frame(PeerFrameKind.Ping, [])) },
    };

    [Theory]
    [MemberData(nameof(Examples))]
    public void TheExamplesOfTheFormatsPageAreWhatIsWritten(string name, string hex)
    {
        string page = File.ReadAllText(Path.Combine(Root(), "docs", "formats", "peer-protocol.md"));
        Assert.Contains($"| {name} | `{hex}` |", page, StringComparison.Ordinal);
    }

    [Fact]
    public void HelloIsReadAsItWasWrittenAndMayBecomeLonger()
    {
        byte[] frame = Written(PeerHello.FrameBytes, s_hello.Write);
        Assert.True(PeerHello.TryRead(frame, out PeerHello read));
        Assert.Equal(s_hello, read);
        Assert.True(PeerHello.TryRead([.. frame, 1, 2, 3], out read));
        Assert.Equal(s_hello, read);
        Assert.False(PeerHello.TryRead(frame.AsSpan(0, frame.Length - 1), out _));
        Assert.False(PeerWelcome.TryRead(frame, out _));
    }

    [Fact]
    public void WelcomeIsReadAsItWasWrittenAndMayBecomeLonger()
    {
        byte[] frame = Written(PeerWelcome.FrameBytes, s_welcome.Write);
        Assert.True(PeerWelcome.TryRead(frame, out PeerWelcome read));
        Assert.Equal(s_welcome, read);
        Assert.True(PeerWelcome.TryRead([.. frame, 1], out _));
        Assert.False(PeerWelcome.TryRead(frame.AsSpan(0, frame.Length - 1), out _));
        Assert.False(PeerHello.TryRead(frame, out _));
    }

    [Theory]
    [InlineData("")]
    [InlineData("it belongs to another cluster")]
    [InlineData("\u0142\u00f3d\u017a")]
    public void RefusalIsReadAsItWasWritten(string text)
    {
        PeerRefusal refusal = new(PeerRefusalReason.NoCommonVersion, 7, text) { OldestVersion = 2, NewestVersion = 9 };
        Assert.True(PeerRefusal.TryRead(refusal.ToFrame(), out PeerRefusal read));
        Assert.Equal(refusal, read);
    }

    [Fact]
    public void ALongReasonIsCutBetweenCharacters()
    {
        Assert.True(PeerRefusal.TryRead(new PeerRefusal(PeerRefusalReason.Busy, 7, new string('\u0142', 1000)).ToFrame(), out PeerRefusal read));
        Assert.Equal(new string('\u0142', PeerRefusal.TextBytesMax / 2), read.Text);
    }

    [Fact]
    public void AnOpenedLinkHasANumberOtherThanZero()
    {
        Assert.True(PeerOpen.TryRead(Written(PeerOpen.FrameBytes, new PeerOpen(6).Write), out PeerOpen read));
        Assert.Equal(6ul, read.Link);
        Assert.False(PeerOpen.TryRead(Written(PeerOpen.FrameBytes, new PeerOpen(0).Write), out _));
    }

    [Theory]
    [InlineData(1, 1, 1, 1, 1)]
    [InlineData(1, 3, 1, 1, 1)]
    [InlineData(1, 1, 1, 3, 1)]
    [InlineData(2, 5, 1, 3, 3)]
    [InlineData(2, 3, 1, 5, 3)]
    [InlineData(3, 4, 1, 2, 0)]
    [InlineData(1, 2, 3, 4, 0)]
    [InlineData(0, 0, 1, 1, 0)]
    [InlineData(5, 1, 1, 9, 0)]
    public void TheNewestVersionThatBothKnowIsSpoken(ushort theirOldest, ushort theirNewest, ushort oldest, ushort newest, ushort expected) =>
        Assert.Equal(expected, PeerProtocol.Common(theirOldest, theirNewest, oldest, newest));

    [Theory]
    [InlineData("", true)]
    [InlineData("KV", true)]
    [InlineData("KVPEER\r\n", true)]
    [InlineData("KVPEER\r\nmore", true)]
    [InlineData("KVPEER\n", false)]
    [InlineData("GET / HTTP/1.1", false)]
    [InlineData("*", false)]
    public void WhoeverBeginsOtherwiseIsNoPeer(string text, bool expected) =>
        Assert.Equal(expected, PeerProtocol.MayBegin(System.Text.Encoding.ASCII.GetBytes(text)));

    private delegate void Writer(Span<byte> frame);

    private static byte[] Written(int length, Writer write)
    {
        byte[] frame = new byte[length];
        write(frame);
        return frame;
    }

    private static string Hex(byte[] bytes) => Convert.ToHexString(bytes);

    private static string Root()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Kvasir.slnx")))
            folder = folder.Parent;
        return folder!.FullName;
    }
}
