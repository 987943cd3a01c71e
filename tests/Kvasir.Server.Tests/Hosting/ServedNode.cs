using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Server.Hosting;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Machine;
using Microsoft.Extensions.Logging.Abstractions;

namespace Kvasir.Server.Tests.Hosting;

/// <summary>A node with real threads in a temporary folder, and its server on ports that the system chose.</summary>
internal sealed class ServedNode : IAsyncDisposable
{
    public const int DatabaseCount = 4;

    private readonly ThreadScheduler _scheduler;
    private readonly KvasirNode _node;
    private readonly string _folder;

    private ServedNode(ThreadScheduler scheduler, KvasirNode node, RespServer server, string folder)
    {
        _scheduler = scheduler;
        _node = node;
        _folder = folder;
        Server = server;
    }

    public RespServer Server { get; }

    /// <summary>The data folder.</summary>
    public string Folder => _folder + "/data";

    public KvasirNode Node => _node;

    /// <param name="options">Of the server.</param>
    /// <param name="durability">Of the node.</param>
    /// <param name="engine">Null for an engine as a small server has it.</param>
    /// <param name="journal">Null for a journal as a server has it.</param>
    /// <param name="others">Engines that keyspaces may have beside that.</param>
    public static async Task<ServedNode> Start(
        ServerOptions options,
        Durability durability = Durability.None,
        LsmOptions? engine = null,
        JournalOptions? journal = null,
        IReadOnlyList<IEngineFactory>? others = null)
    {
        string folder = Directory.CreateTempSubdirectory("kvasir-served").FullName;
        PosixFileSystem files = new();
        ThreadScheduler scheduler = new(TimeProvider.System);
        KvasirNode node = KvasirNode.Open(
            new NodeOptions
            {
                Folder = folder + "/data",
                DatabaseCount = DatabaseCount,
                Durability = durability,
                MemoryBytes = 32 << 20,
                SyncInterval = TimeSpan.FromMilliseconds(20),
                Journal = journal ?? new JournalOptions(),
            },
            new NodeEnvironment(files, scheduler, [new LsmEngineFactory(engine), .. others ?? []], Seed: 1));
        try
        {
            ServerCertificates? certificates = options.Tls is { } tls ? new ServerCertificates(tls, TimeProvider.System, NullLogger.Instance) : null;
            RespServer server = await RespServer.Start(
                node, options with { DataFolder = folder + "/data", Databases = DatabaseCount, Durability = durability }, files, certificates, NullLoggerFactory.Instance,
                lost => Environment.FailFast("the data could not be opened again: " + lost.Message));
            return new ServedNode(scheduler, node, server, folder);
        }
        catch
        {
            node.Dispose();
            scheduler.Dispose();
            Directory.Delete(folder, recursive: true);
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        _node.Dispose();
        _scheduler.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}
