using Kvasir.Storage.Buffered.Iterators;
using Kvasir.Storage.Buffered.Keys;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Tests.Lsm.Iterators;

public sealed class LsmIteratorTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void AnIteratorThatMetDamageStandsOnNothing(bool forward)
    {
        var source = new SourceWithDamage();
        using var iterator = new LiveIterator(source, [], sequence: 10, new IteratorOptions(), nowMs: 0, source);
        iterator.Seek("b"u8);
        Assert.True(iterator.Valid);
        source.IsDamaged = true;
        Assert.Throws<CorruptionException>(() => Move(iterator, forward));
        Assert.False(iterator.Valid);
        Assert.Empty(iterator.Value.ToArray());

        // Nor does a second try show anything.
        Move(iterator, forward);
        Assert.False(iterator.Valid);
    }

    private static void Move(LiveIterator iterator, bool forward)
    {
        if (forward)
            iterator.Next();
        else
            iterator.Previous();
    }

    /// <summary>The keys a, b and c, until a block of them is damaged.</summary>
    private sealed class SourceWithDamage : InternalIterator
    {
        private static readonly byte[][] s_keys = ["a"u8.ToArray(), "b"u8.ToArray(), "c"u8.ToArray()];
        private int _at;

        public bool IsDamaged { get; set; }

        public override bool Valid => _at >= 0 && _at < s_keys.Length;

        public override ReadOnlySpan<byte> UserKey => s_keys[_at];

        public override Trailer Trailer => new(1, ValueKind.Value);

        public override ReadOnlySpan<byte> Value => IsDamaged ? throw new InvalidOperationException("its block is gone") : "value"u8;

        public override long ExpiresAtMs => 0;

        public override void SeekToFirst() => MoveTo(0);

        public override void SeekToLast() => MoveTo(s_keys.Length - 1);

        public override void Seek(ReadOnlySpan<byte> userKey, Trailer trailer) => MoveTo(userKey[0] - 'a');

        public override void SeekForPrevious(ReadOnlySpan<byte> userKey, Trailer trailer) => MoveTo(userKey[0] - 'a' - 1);

        public override void Next() => MoveTo(_at + 1);

        public override void Previous() => MoveTo(_at - 1);

        private void MoveTo(int at) => _at = IsDamaged ? throw new CorruptionException("table", 0, "a block") : at;
    }
}
