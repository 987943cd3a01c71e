using Kvasir.Cli.CommandLine;

namespace Kvasir.Cli.Bench.Servers;

/// <summary>What <c>kvasir bench server</c> was asked to do.</summary>
internal sealed record LoadOptions
{
    /// <summary>Where clients connect, in turn.</summary>
    public required IReadOnlyList<HostPort> Addresses { get; init; }

    /// <summary>Speak etcd's gRPC instead of RESP.</summary>
    public bool Etcd { get; init; }

    public string? Password { get; init; }

    public required string Workload { get; init; }

    public int Clients { get; init; } = 50;

    public int Pipeline { get; init; } = 1;

    public int Threads { get; init; } = 1;

    public long Keys { get; init; } = 1_000_000;

    public int ValueBytes { get; init; } = 100;

    public int ReadPercent { get; init; } = 50;

    /// <summary>Requests in all; 0 when the duration decides.</summary>
    public long Requests { get; init; }

    public TimeSpan Duration { get; init; }

    /// <summary>Requests a second in all, sent by the clock; 0 for a closed loop.</summary>
    public long Rate { get; init; }

    public ulong Seed { get; init; } = 1;
}

/// <summary>What one request does; the classes that latencies are reported by.</summary>
internal enum LoadOperation
{
    Read,
    Update,
    Insert,
    Scan,
    ReadModifyWrite,
    Increment,
}
