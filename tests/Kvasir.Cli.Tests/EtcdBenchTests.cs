using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Kvasir.Cli.Tests;

/// <summary>The load generator's gRPC, spoken to another's HTTP/2.</summary>
public sealed class EtcdBenchTests : IAsyncLifetime
{
    private readonly ConcurrentDictionary<string, byte[]> _values = new(StringComparer.Ordinal);
    private readonly ConcurrentBag<string> _headers = [];
    private WebApplication? _app;
    private int _failing;
    private string _port = "";

    public async Task InitializeAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(k => k.Listen(IPAddress.Loopback, 0, l => l.Protocols = HttpProtocols.Http2));
        _app = builder.Build();
        _app.Run(Serve);
        await _app.StartAsync();
        string address = _app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();
        _port = address[(address.LastIndexOf(':') + 1)..];
    }

    public async Task DisposeAsync() => await _app!.DisposeAsync();

    [Fact]
    public async Task WhatIsPutIsFoundAgain()
    {
        JsonElement put = await Bench("--workload", "set", "--load", "--keys", "200", "--requests", "3000", "--clients", "4", "--value-size", "300");
        Assert.Equal((3000, 0), (put.GetProperty("requests").GetInt64(), put.GetProperty("errors").GetInt64()));
        Assert.Equal(Enumerable.Range(0, 200).Select(i => $"key:{i:D12}"), _values.Keys.Order(StringComparer.Ordinal));
        Assert.All(_values.Values, v => Assert.Equal(300, v.Length));
        JsonElement get = await Bench("--workload", "get", "--keys", "200", "--requests", "3000", "--clients", "4");
        Assert.Equal((3000, 0, 0), (get.GetProperty("requests").GetInt64(), get.GetProperty("misses").GetInt64(), get.GetProperty("errors").GetInt64()));
        Assert.Equal([$"POST application/grpc trailers 127.0.0.1:{_port}"], _headers.Distinct(StringComparer.Ordinal));
    }

    [Fact]
    public void WhatSpeaksAnotherProtocolIsNotWaitedFor() =>
        Assert.Throws<IOException>(() => new Bench.Servers.EtcdLoadProtocol("h:1").Take("-ERR unknown command 'PRI'\r\n"u8, out _));

    [Theory]
    [InlineData(1)]
    [InlineData(127)]
    [InlineData(128)]
    [InlineData(16_000)]
    public async Task ValuesOfAnySizeArriveWhole(int bytes)
    {
        await Bench("--workload", "set", "--keys", "1", "--requests", "50", "--clients", "1", "--value-size", bytes.ToString(CultureInfo.InvariantCulture));
        Assert.Equal(bytes, _values.Single().Value.Length);
    }

    [Fact]
    public async Task AReadThatFindsNothingIsAMiss()
    {
        JsonElement report = await Bench("--workload", "get", "--keys", "10", "--requests", "500", "--clients", "2");
        Assert.Equal((500, 500, 0), (report.GetProperty("requests").GetInt64(), report.GetProperty("misses").GetInt64(), report.GetProperty("errors").GetInt64()));
    }

    [Fact]
    public async Task CallsThatFailAreCounted()
    {
        _failing = 10;
        Outcome outcome = await Run("--workload", "set", "--keys", "10", "--requests", "500", "--clients", "2");
        Assert.Equal(1, outcome.ExitCode);
        JsonElement report = JsonDocument.Parse(outcome.Output).RootElement;
        Assert.Equal((500, 10), (report.GetProperty("requests").GetInt64(), report.GetProperty("errors").GetInt64()));
        Assert.Contains("the server's log says why", report.GetProperty("first_error").GetString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--pipeline 2", "no --pipeline")]
    [InlineData("--rate 10", "no --rate")]
    [InlineData("--workload incr", "single keys only")]
    [InlineData("--workload ycsb-e", "single keys only")]
    [InlineData("--value-size 16001", "at most 16000 bytes")]
    [InlineData("--endpoints ,", "names nobody")]
    [InlineData("--endpoints 127.0.0.1:x", "not '127.0.0.1:x'")]
    public async Task WhatEtcdHasNotIsRefused(string flags, string says) =>
        Assert.Contains(says, (await Run(flags.Split(' '))).AssertUsageError(), StringComparison.Ordinal);

    private async Task<JsonElement> Bench(params string[] flags) => JsonDocument.Parse((await Run(flags)).AssertSuccess().Output).RootElement;

    private Task<Outcome> Run(params string[] flags) => KvasirProcess.Run(
        ["bench", "server", "--json", "--protocol", "etcd", .. flags.Contains("--endpoints") ? [] : new[] { "--endpoints", "127.0.0.1:" + _port }, .. flags]);

    /// <summary>KV.Put and KV.Range of etcd, as far as the messages of a load generator go.</summary>
    private async Task Serve(HttpContext context)
    {
        _headers.Add($"{context.Request.Method} {context.Request.ContentType} {context.Request.Headers["te"]} {context.Request.Host}");
        using MemoryStream body = new();
        await context.Request.Body.CopyToAsync(body);
        byte[] message = body.ToArray();
        Assert.Equal(0, message[0]);
        Assert.Equal(message.Length - 5, (int)BinaryPrimitives.ReadUInt32BigEndian(message.AsSpan(1)));
        Assert.Equal(0x0A, message[5]);
        string key = Encoding.ASCII.GetString(message, 7, message[6]);
        int at = 7 + message[6];
        context.Response.ContentType = "application/grpc";
        if (Interlocked.Decrement(ref _failing) >= 0)
        {
            // As gRPC does: the trailers are the headers, and end the stream.
            context.Response.Headers["grpc-status"] = "14";
            return;
        }

        // A header of the cluster comes first, and a count last.
        byte[] reply = [0x0A, 4, 8, 1, 16, 2];
        if (context.Request.Path == "/etcdserverpb.KV/Put")
        {
            Assert.Equal(0x12, message[at++]);
            int length = 0;
            for (int shift = 0; ; shift += 7)
            {
                length |= (message[at] & 0x7F) << shift;
                if (message[at++] < 0x80)
                    break;
            }

            Assert.Equal(message.Length - at, length);
            _values[key] = message[at..];
        }
        else
        {
            Assert.Equal("/etcdserverpb.KV/Range", context.Request.Path);
            Assert.Equal(message.Length, at);
            if (_values.ContainsKey(key))
                reply = [.. reply, 0x12, 3, 0x0A, 1, (byte)'k', 0x20, 1];
        }

        byte[] frame = new byte[5 + reply.Length];
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(1), (uint)reply.Length);
        reply.CopyTo(frame, 5);
        await context.Response.Body.WriteAsync(frame);
        context.Response.AppendTrailer("grpc-status", "0");
    }
}
