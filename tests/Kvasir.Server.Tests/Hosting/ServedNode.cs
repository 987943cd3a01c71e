using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Server.Hosting;
using Kvasir.Storage.Files;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Machine;
using Microsoft.Extensions.Logging.Abstractions;

namespace Kvasir.Server.Tests.Hosting;

/// <summary>A node with real threads in a temporary folder, and its server on ports that the system chose.</summary>
internal sealed class ServedNode : IAsyncDisposable
{
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

    public static async Task<ServedNode> Start(ServerOptions options, Durability durability = Durability.None)
    {
        string folder = Directory.CreateTempSubdirectory("kvasir-served").FullName;
        PosixFileSystem files = new();
        ThreadScheduler scheduler = new(TimeProvider.System);
        KvasirNode node = KvasirNode.Open(
            new NodeOptions { Folder = folder + "/data", DatabaseCount = 2, Durability = durability, MemoryBytes = 32 << 20 },
            new NodeEnvironment(files, scheduler, [new LsmEngineFactory()], Seed: 1));
        try
        {
            RespServer server = await RespServer.Start(
                node, options with { DataFolder = folder + "/data", Databases = 2 }, files, NullLoggerFactory.Instance);
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
