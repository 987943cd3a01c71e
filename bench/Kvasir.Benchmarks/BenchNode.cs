using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Server.Commands;
using Kvasir.Server.Sessions;
using Kvasir.Storage.Lsm;
using Kvasir.Storage.Machine;

namespace Kvasir.Benchmarks;

/// <summary>A whole node on this machine's disk, in a folder of its own, and one session: a server without its sockets.</summary>
internal sealed class BenchNode : ISessionOwner, IDisposable
{
    private readonly ThreadScheduler _scheduler = new(TimeProvider.System);
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("kvasir-bench");
    private readonly byte[] _received = GC.AllocateUninitializedArray<byte>(64 << 10, pinned: true);
    private readonly KvasirNode _node;
    private readonly RespSession _session;

    public BenchNode(Durability durability)
    {
        var environment = new NodeEnvironment(new PosixFileSystem(), _scheduler, [new LsmEngineFactory()], Seed: 1);
        _node = KvasirNode.Open(
            new NodeOptions { Folder = _folder.FullName, Durability = durability, MemoryBytes = 1 << 30 }, environment);
        var server = new ServerState(_node, TimeProvider.System, AllCommands.List);
        _session = new RespSession(server, this, "127.0.0.1:1", "127.0.0.1:6379");
        server.Opened(_session);
    }

    public KvasirNode Node => _node;

    public void Wake(RespSession session)
    {
    }

    /// <summary>What an event loop does with bytes that came: run them, ask the log once, send. Returns the bytes to send.</summary>
    public int Execute(ReadOnlySpan<byte> request)
    {
        SessionInput input = _session.Input;
        input.Lend(_received);
        request.CopyTo(input.Room(request.Length).Span);
        input.Received(request.Length);
        _session.Execute();
        input.TakeBack();
        if (_session.Output.HasGates)
            _node.Log.CommitInline();
        else
            _node.Log.Commit();
        int length = _session.Sendable().Length;
        _session.Output.Sent(length);
        return length;
    }

    public void Dispose()
    {
        _node.Dispose();
        _scheduler.Dispose();
        _folder.Delete(recursive: true);
    }
}
