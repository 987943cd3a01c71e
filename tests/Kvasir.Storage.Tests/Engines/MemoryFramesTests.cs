using Kvasir.Primitives;
using Kvasir.Storage.Engines;

namespace Kvasir.Storage.Tests.Engines;

public sealed unsafe class MemoryFramesTests
{
    private const int FrameBytes = 4096;
    private const int SparesMax = 8;

    [Theory]
    [InlineData(1UL)]
    [InlineData(2UL)]
    public void PiecesInUseNeverOverlapAndOnlyAFewSparesAreKept(ulong seed)
    {
        var frames = new MemoryFrames(FrameBytes, SparesMax);
        var random = new SeededRandom(seed);
        var held = new List<(nint Piece, byte Mark)>();
        for (int i = 0; i < 40_000; i++)
        {
            // Grows and shrinks in turn, by thousands.
            bool grows = i / 4000 % 2 == 0;
            if (held.Count == 0 || random.OneIn(grows ? 4 : 2) != grows)
            {
                byte* piece = frames.Take();
                var mark = (byte)random.Next(256);
                new Span<byte>(piece, FrameBytes).Fill(mark);
                held.Add(((nint)piece, mark));
            }
            else
            {
                int at = random.Next(held.Count);
                (nint piece, byte mark) = held[at];
                Assert.False(new Span<byte>((void*)piece, FrameBytes).ContainsAnyExcept(mark), $"seed {seed}, step {i}");
                frames.Return((byte*)piece);
                held[at] = held[^1];
                held.RemoveAt(held.Count - 1);
            }

            Assert.Equal(held.Count, frames.UsedCount);
            Assert.InRange(frames.ResidentBytes, (long)held.Count * FrameBytes, (held.Count + SparesMax) * (long)FrameBytes);
        }

        foreach ((nint piece, _) in held)
            frames.Return((byte*)piece);
        frames.FreeIfUnused();
        Assert.Equal(0, frames.ResidentBytes);
        frames.Return(frames.Take());
    }

    [Fact]
    public void WhatIsInUseIsNotFreed()
    {
        var frames = new MemoryFrames(FrameBytes, SparesMax);
        byte* piece = frames.Take();
        *piece = 7;
        frames.FreeIfUnused();
        Assert.Equal(7, *piece);
        Assert.Equal(1, frames.UsedCount);
        frames.Return(piece);
    }
}
