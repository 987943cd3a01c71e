using System.Globalization;
using System.Text;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;
using Kvasir.Primitives;
using Kvasir.Server.Commands;
using Kvasir.Server.Sessions;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Models;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Engines;
using Kvasir.Wire.Resp;

namespace Kvasir.Server.Tests.Commands;

/// <summary>A node over model engines and the command table, without sockets: command lines in, reply bytes out.</summary>
internal sealed class CommandWorld : IDisposable
{
    private readonly CommandTable _table = new(DataCommands.All);
    private readonly BytesBuffer _output = new();
    private readonly ServerState _server;
    private readonly CommandContext _context;
    private readonly RespSession _session = new();

    public CommandWorld()
    {
        var random = new SeededRandom(1);
        Scheduler = new SimulatedScheduler(random, new SimulatedClock(DateTimeOffset.UtcNow));
        var environment = new EngineEnvironment(
            new SimulatedFileSystem(random.Fork()), Scheduler, new MemoryBudget(MemoryBudget.MinimumBytes));
        Node = new KvasirNode(new MemoryLog(), Enumerable.Range(0, 16).Select(i => new Replica(
            (uint)i,
            new KeyspaceOptions { Name = "db" + i.ToString(CultureInfo.InvariantCulture) },
            ModelEngine.Open("db" + i.ToString(CultureInfo.InvariantCulture), environment))));
        _server = new ServerState(Node);
        _context = new CommandContext(_session, _server, new RespWriter(_output));
    }

    public SimulatedScheduler Scheduler { get; }

    public KvasirNode Node { get; }

    public void Advance(TimeSpan time) => Scheduler.Clock.Advance(time);

    public byte[] Execute(params string[] arguments) => Execute([.. arguments.Select(Encoding.Latin1.GetBytes)]);

    public byte[] Execute(byte[][] arguments)
    {
        if (arguments.Length == 2 && Encoding.Latin1.GetString(arguments[0]).Equals("select", StringComparison.OrdinalIgnoreCase))
        {
            _session.DatabaseIndex = int.Parse(Encoding.Latin1.GetString(arguments[1]), CultureInfo.InvariantCulture);
            return "+OK\r\n"u8.ToArray();
        }

        _output.Clear();
        Node.Mailbox.Post(new Item(this, arguments));
        return _output.WrittenSpan.ToArray();
    }

    public void Dispose() => Node.Dispose();

    private void Run(Execution execution, byte[][] arguments)
    {
        CommandDefinition? command = _table.Find(arguments[0]);
        if (command?.Subcommands.Count > 0 && arguments.Length > 1)
        {
            string word = Encoding.Latin1.GetString(arguments[1]);
            command = command.Subcommands.FirstOrDefault(s => s.Name.Equals(word, StringComparison.OrdinalIgnoreCase));
        }

        string name = Encoding.Latin1.GetString(arguments[0]);
        if (command?.Handler is null)
        {
            _context.Reply.Error($"ERR unknown command '{name}'");
            return;
        }

        if (command.Arity > 0 ? arguments.Length != command.Arity : arguments.Length < -command.Arity)
        {
            _context.Reply.Error($"ERR wrong number of arguments for '{command.Name}' command");
            return;
        }

        _context.BeginArguments(arguments.SelectMany(a => a).ToArray());
        int offset = 0;
        foreach (byte[] argument in arguments)
        {
            _context.AddArgument(offset, argument.Length);
            offset += argument.Length;
        }

        _context.Execution = execution;
        _context.Command = command;
        _context.NowMs = Scheduler.Time.GetUtcNow().ToUnixTimeMilliseconds();
        command.Handler(_context);
        execution.Commit();
    }

    private sealed class Item(CommandWorld world, byte[][] arguments) : IMailboxItem
    {
        public void Run(Execution execution) => world.Run(execution, arguments);
    }

    /// <summary>A log that is durable at once and keeps nothing.</summary>
    private sealed class MemoryLog : IReplicaLog
    {
        public WriteRefusal? Refusal => null;

        public LogPosition AppendedPosition { get; private set; }

        public LogPosition DurablePosition => AppendedPosition;

        public long RetainedBytes => 0;

        public LogPosition Append(ReadOnlySpan<byte> payload)
        {
            AppendedPosition = new LogPosition(AppendedPosition.Value + (ulong)payload.Length);
            return AppendedPosition;
        }
    }
}
