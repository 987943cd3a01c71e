using System.Buffers.Binary;
using System.Security.Cryptography;
using Kvasir.Cluster.Nodes;
using Kvasir.Storage.BTree;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Machine;

namespace Kvasir.Cli.Hosting;

/// <summary>The real world: this machine's disk, clock, threads and chance. Only programs make one.</summary>
internal sealed class MachineWorld : IDisposable
{
    // Flushes and compactions of all engines together; two keep level zero moving while a large compaction runs.
    private const int BackgroundThreads = 2;

    private readonly ThreadScheduler _scheduler = new(TimeProvider.System, BackgroundThreads);

    /// <param name="openFilesPerEngine">Files of tables or segments that each engine may keep open; null for as many as it likes.</param>
    public MachineWorld(int? openFilesPerEngine = null)
    {
        Span<byte> seed = stackalloc byte[8];
        RandomNumberGenerator.Fill(seed);
        Environment = new NodeEnvironment(
            new PosixFileSystem(),
            _scheduler,
            [new LsmEngineFactory(openFilesMax: openFilesPerEngine), new HashLogEngineFactory(openFilesMax: openFilesPerEngine), new BTreeEngineFactory()],
            BinaryPrimitives.ReadUInt64LittleEndian(seed));
    }

    public NodeEnvironment Environment { get; }

    public IFileSystem Files => Environment.Files;

    public void Dispose() => _scheduler.Dispose();
}
