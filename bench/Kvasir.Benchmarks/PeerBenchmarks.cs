using System.Net;
using System.Net.Sockets;
using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Server.Peers;
using Microsoft.Extensions.Logging.Abstractions;

namespace Kvasir.Benchmarks;

/// <summary>
/// Messages between two nodes over loopback, beside two threads that do the same with blocking sockets and no frames: a
/// message there and back again, and a stream of them one way.
/// </summary>
[Config(typeof(FewLongRuns))]
public class PeerBenchmarks
{
    private const int Rounds = 5_000;
    private const int Stream = 200_000;
    private readonly Pinger _first = new(), _second = new();
    private readonly SemaphoreSlim _done = new(0);
    private byte[] _message = [];
    private TcpTransport _a = null!, _b = null!;
    private Socket _here = null!, _there = null!;

    [Params(100, 4000)]
    public int Bytes { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _message = new byte[Bytes];
        _a = Open(1);
        _b = Open(2);
        _first.Connected = _done;
        _a.Start(_first);
        _b.Start(_second);
        _a.SetPeers([new PeerAddress(new NodeId(2), "127.0.0.1", _b.EndPoint.Port)]);
        _done.Wait();
        using Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        _here = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        _here.Connect(listener.LocalEndPoint!);
        _there = listener.Accept();
        _there.NoDelay = true;
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        _a.Dispose();
        _b.Dispose();
        _here.Dispose();
        _there.Dispose();
    }

    [Benchmark(OperationsPerInvoke = Rounds)]
    public void RoundTrip()
    {
        int left = Rounds;
        _second.On = message => _b.Send(new NodeId(1), message);
        _first.On = message =>
        {
            if (--left == 0)
                _done.Release();
            else
                _a.Send(new NodeId(2), message);
        };
        _a.Send(new NodeId(2), _message);
        _done.Wait();
    }

    [Benchmark(OperationsPerInvoke = Rounds)]
    public void RoundTripOfBareSockets()
    {
        Thread echo = new(() =>
        {
            byte[] buffer = new byte[Bytes];
            for (int i = 0; i < Rounds; i++)
            {
                Read(_there, buffer);
                _there.Send(buffer);
            }
        });
        echo.Start();
        byte[] buffer = new byte[Bytes];
        for (int i = 0; i < Rounds; i++)
        {
            _here.Send(_message);
            Read(_here, buffer);
        }

        echo.Join();
    }

    [Benchmark(OperationsPerInvoke = Stream)]
    public void OneWay()
    {
        int left = Stream;
        _second.On = _ =>
        {
            if (--left == 0)
                _done.Release();
        };
        NodeId to = new(2);
        for (int i = 0; i < Stream; i++)
        {
            SpinWait spin = default;
            while (_a.Send(to, _message) == SendOutcome.Full)
                spin.SpinOnce();
        }

        _done.Wait();
    }

    [Benchmark(OperationsPerInvoke = Stream)]
    public void OneWayInTurnsOfSixteen()
    {
        int left = Stream;
        _second.On = _ =>
        {
            if (--left == 0)
                _done.Release();
        };
        NodeId to = new(2);
        for (int i = 0; i < Stream; i++)
        {
            SpinWait spin = default;
            while (_a.Send(to, _message, more: i % 16 != 15) == SendOutcome.Full)
                spin.SpinOnce();
        }

        _a.Flush();
        _done.Wait();
    }

    [Benchmark(OperationsPerInvoke = Stream)]
    public void OneWayOfBareSockets()
    {
        Thread reader = new(() =>
        {
            byte[] buffer = new byte[128 << 10];
            for (long left = (long)Stream * Bytes; left > 0;)
                left -= _there.Receive(buffer);
        });
        reader.Start();
        for (int i = 0; i < Stream; i++)
            _here.Send(_message);
        reader.Join();
    }

    private static void Read(Socket socket, byte[] buffer)
    {
        for (int at = 0; at < buffer.Length;)
            at += socket.Receive(buffer.AsSpan(at));
    }

    private static TcpTransport Open(ulong id)
    {
        TcpTransport transport = new(
            new TcpTransportOptions { Listen = new IPEndPoint(IPAddress.Loopback, 0) }, TimeProvider.System, new SeededRandom(id), NullLogger.Instance);
        transport.Identify(1, new NodeId(id));
        return transport;
    }

    private delegate void Heard(ReadOnlySpan<byte> message);

    private sealed class Pinger : ITransportListener
    {
        public Heard? On { get; set; }

        public SemaphoreSlim? Connected { get; set; }

        void ITransportListener.Received(NodeId from, ReadOnlySpan<byte> message) => On?.Invoke(message);

        void ITransportListener.Connected(NodeId peer) => Connected?.Release();

        void ITransportListener.Disconnected(NodeId peer)
        {
        }

        void ITransportListener.Writable(NodeId peer)
        {
        }
    }

    private sealed class FewLongRuns : ManualConfig
    {
        public FewLongRuns()
        {
            AddDiagnoser(MemoryDiagnoser.Default);
            AddJob(Job.Default.WithToolchain(InProcessEmitToolchain.Instance)
                .WithWarmupCount(2).WithIterationCount(7).WithInvocationCount(1).WithUnrollFactor(1));
        }
    }
}
