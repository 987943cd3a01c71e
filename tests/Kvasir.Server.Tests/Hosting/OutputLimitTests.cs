using System.Net;
using System.Text.RegularExpressions;
using Kvasir.Server.Hosting;
using Kvasir.Server.Tests.Stress;

namespace Kvasir.Server.Tests.Hosting;

/// <summary>client-output-buffer-limit on plain sockets: when a client is closed, what it still gets, and what others see of it.</summary>
public sealed partial class OutputLimitTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public async Task RepliesBeyondTheHardLimitAreNotSentAtAllAndTheirCommandsAreDone(int loops)
    {
        if (!OperatingSystem.IsLinux())
            return;
        await using ServedNode served = await Start(loops);
        using RespClient witness = new(served.Server.Resp[0]);
        witness.Call("SET", "large", new string('v', 10_000));
        using RespClient client = new(served.Server.Resp[0]);
        Assert.Equal("OK", witness.Call("CONFIG", "SET", "client-output-buffer-limit", "normal 100000 0 0"));
        client.Add("MULTI");
        for (int i = 0; i < 15; i++)
            client.Add("GET", "large");
        client.Add("SET", "after", "1");
        client.Add("EXEC");
        client.Add("SET", "later", "1");
        client.Send();

        Assert.Equal("", client.ReceiveToEnd());

        Assert.Equal("\"1\"", witness.Call("GET", "after"));
        Assert.Equal("nil", witness.Call("GET", "later"));
    }

    [Fact]
    public async Task WhatASubscriberHasNotReadGrowsUntilTheHardLimit()
    {
        if (!OperatingSystem.IsLinux())
            return;

        // With one loop the subscriber is looked at after each message; another loop may come to it some messages later.
        await using ServedNode served = await Start(loops: 1);
        using RespClient publisher = new(served.Server.Resp[0]);
        publisher.Call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 400000 0 0");
        using RespClient deaf = new(served.Server.Resp[0]);
        deaf.Call("CLIENT", "SETNAME", "deaf");
        deaf.Call("SUBSCRIBE", "news");
        string message = new('m', 10_000);
        int most = 0;
        for (int published = 0; ; published++)
        {
            Assert.True(published < 100_000, "the subscriber is still there");
            if (publisher.Call("PUBLISH", "news", message) == ":0")
                break;
            Match unread = Unread().Match(publisher.Call("CLIENT", "LIST", "TYPE", "pubsub"));
            if (unread.Success)
                most = Math.Max(most, int.Parse(unread.Groups[1].ValueSpan, System.Globalization.CultureInfo.InvariantCulture));
        }

        Assert.InRange(most, 300_000, 400_000 + 20_000);
    }

    [Fact]
    public async Task AnAddressThatIsNoneIsNotBoundTo()
    {
        if (!OperatingSystem.IsLinux())
            return;
        await using ServedNode served = await Start(loops: 1);
        using RespClient client = new(served.Server.Resp[0]);
        string bound = client.Call("CONFIG", "GET", "bind");

        Assert.Equal(
            "-ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses.",
            client.Call("CONFIG", "SET", "bind", "999.999.999.999"));

        Assert.Equal(bound, client.Call("CONFIG", "GET", "bind"));
        using RespClient another = new(served.Server.Resp[0]);
        Assert.Equal("PONG", another.Call("PING"));
    }

    private static Task<ServedNode> Start(int loops) =>
        ServedNode.Start(new ServerOptions { Resp = [new(IPAddress.Loopback, 0)], IoThreads = loops });

    [GeneratedRegex("name=deaf .* omem=([0-9]+)", RegexOptions.None, 1000)]
    private static partial Regex Unread();
}
