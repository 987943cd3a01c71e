using FsCheck;
using FsCheck.Fluent;
using Kvasir.Wire.Peers;

namespace Kvasir.Wire.Tests.Peers;

public sealed class PeerFrameTests
{
    private const int Max = 1000;

    [Fact]
    public void WhatWasWrittenIsReadWhateverItsLength() =>
        Prop.ForAll(Gen.Choose(0, Max - 1).ToArbitrary(), length =>
        {
            byte[] frame = Frame(PeerFrameKind.Message, Body(length));
            Assert.Equal(PeerFrameStatus.Whole, PeerFrame.Read(frame, Max, out int bytes));
            Assert.Equal(frame.Length, bytes);
            Assert.Equal(PeerFrameKind.Message, PeerFrame.Kind(frame));
            Assert.Equal(Body(length), PeerFrame.Body(frame).ToArray());
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(300)]
    public void CutAnywhereItIsPartialAndSaysHowMuchItNeeds(int length)
    {
        byte[] frame = Frame(PeerFrameKind.Call, Body(length));
        for (int cut = 0; cut < frame.Length; cut++)
        {
            Assert.Equal(PeerFrameStatus.Partial, PeerFrame.Read(frame.AsSpan(0, cut), Max, out int bytes));
            Assert.Equal(cut < 4 ? PeerFrame.EnvelopeBytes : frame.Length, bytes);
        }
    }

    [Fact]
    public void AnyFlippedBitIsNoticed()
    {
        byte[] frame = Frame(PeerFrameKind.Message, Body(40));
        for (int bit = 0; bit < frame.Length * 8; bit++)
        {
            byte[] flipped = [.. frame, .. new byte[2 * Max]];
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));
            PeerFrameStatus status = PeerFrame.Read(flipped, Max, out _);
            Assert.True(status is PeerFrameStatus.Damaged or PeerFrameStatus.TooLong or PeerFrameStatus.Empty, $"bit {bit}: {status}");
        }
    }

    [Theory]
    [InlineData(0u, PeerFrameStatus.Empty)]
    [InlineData(1u, PeerFrameStatus.Partial)]
    [InlineData((uint)Max, PeerFrameStatus.Partial)]
    [InlineData(Max + 1u, PeerFrameStatus.TooLong)]
    [InlineData(0x7FFFFFFFu, PeerFrameStatus.TooLong)]
    [InlineData(0x80000000u, PeerFrameStatus.TooLong)]
    [InlineData(0xFFFFFFFFu, PeerFrameStatus.TooLong)]
    public void LengthsAreNotBelieved(uint length, PeerFrameStatus expected) =>
        Assert.Equal(expected, PeerFrame.Read(BitConverter.GetBytes(length), Max, out _));

    [Fact]
    public void WhatFollowsAFrameDoesNotMatter()
    {
        byte[] two = [.. Frame(PeerFrameKind.Ping, []), .. Frame(PeerFrameKind.Message, Body(9))];
        Assert.Equal(PeerFrameStatus.Whole, PeerFrame.Read(two, Max, out int bytes));
        Assert.Equal(PeerFrame.HeaderBytes, bytes);
        Assert.Equal(PeerFrameStatus.Whole, PeerFrame.Read(two.AsSpan(bytes), Max, out _));
    }

    [Fact]
    public void NoBytesWhateverMakeItThrow() =>
        Prop.ForAll(ArbMap.Default.ArbFor<byte[]>(), bytes =>
        {
            PeerFrameStatus status = PeerFrame.Read(bytes, Max, out int frameBytes);
            Assert.True(status != PeerFrameStatus.Whole || frameBytes <= bytes.Length);
            if (bytes.Length < PeerFrame.HeaderBytes)
                return;

            // In a frame whose checksum fits, too: whatever it says, it is read or it is not.
            PeerFrame.Seal(bytes);
            Assert.Equal(PeerFrameStatus.Whole, PeerFrame.Read(bytes, int.MaxValue, out _));
            PeerHello.TryRead(bytes, out _);
            PeerWelcome.TryRead(bytes, out _);
            PeerRefusal.TryRead(bytes, out _);
            PeerOpen.TryRead(bytes, out _);
        }).QuickCheckThrowOnFailure();

    internal static byte[] Frame(PeerFrameKind kind, byte[] body)
    {
        byte[] frame = new byte[PeerFrame.HeaderBytes + body.Length];
        body.CopyTo(frame, PeerFrame.HeaderBytes);
        PeerFrame.WriteHeader(frame, kind, body);
        return frame;
    }

    private static byte[] Body(int length) => [.. Enumerable.Range(0, length).Select(static i => (byte)(i * 7))];
}
