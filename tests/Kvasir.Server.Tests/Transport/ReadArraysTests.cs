using Kvasir.Server.Sessions;
using Kvasir.Server.Transport;

namespace Kvasir.Server.Tests.Transport;

public sealed class ReadArraysTests
{
    private readonly ReadArrays _arrays = new();

    [Fact]
    public void ManyThatStopInsideARequestTakeLittle()
    {
        SessionInput[] inputs = [.. Enumerable.Range(0, 1000).Select(static _ => new SessionInput())];
        foreach (SessionInput input in inputs)
        {
            Receive(input, [1, 2, 3]);
            _arrays.Settle(input, wanted: 4);
        }

        Assert.Equal(ReadArrays.KeptMax, _arrays.Lent);
        Assert.InRange(inputs.Sum(static i => (long)i.Array!.Length), 0, (ReadArrays.KeptMax * ReadArrays.Size) + (1000 * 256));
        foreach (SessionInput input in inputs)
        {
            Receive(input, [4]);
            Assert.Equal([1, 2, 3, 4], input.Bytes.ToArray());
            input.Executed(4);
            _arrays.Settle(input, wanted: 0);
            Assert.Null(input.Array);
        }

        Assert.Equal(0, _arrays.Lent);
    }

    [Fact]
    public void FewKeepTheirs()
    {
        SessionInput input = new();
        Receive(input, [1]);
        byte[] array = input.Array!;
        _arrays.Settle(input, wanted: 2);
        Assert.Same(array, input.Array);
        Receive(input, [2]);
        Assert.Same(array, input.Array);
        Assert.Equal([1, 2], input.Bytes.ToArray());
    }

    [Fact]
    public void LargeRequestHasItsOwnAndLeavesNothingBehind()
    {
        SessionInput input = new();
        Receive(input, [1]);
        _arrays.Settle(input, wanted: 1_000_000);
        Assert.Equal(1_000_000 - 1, _arrays.Room(input, 1_000_000).Length);
        Assert.Equal(0, _arrays.Lent);
        input.Received(999_999);
        input.Executed(999_990);
        _arrays.Settle(input, wanted: 20);
        Assert.Equal(10, input.Length);
        Assert.InRange(input.Array!.Length, 10, 256);
        Receive(input, [7]);
        Assert.Equal(1, _arrays.Lent);
        Assert.Equal(7, input.Bytes[10]);
    }

    [Fact]
    public void ArrayMadeForARequestDoesNotGrowWithIt()
    {
        SessionInput input = new();
        Receive(input, [1]);
        int room = _arrays.Room(input, 1_000_000).Length;
        input.Received(room - 1);
        Assert.Equal(1, _arrays.Room(input, 1_000_000).Length);
        Assert.Equal(1_000_000, input.Array!.Length);
        Assert.Equal(1, input.Bytes[0]);
    }

    private void Receive(SessionInput input, byte[] bytes)
    {
        bytes.CopyTo(_arrays.Room(input, 0));
        input.Received(bytes.Length);
    }
}
