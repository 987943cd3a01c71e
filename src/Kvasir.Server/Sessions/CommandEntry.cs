using System.Numerics;
using System.Text;

namespace Kvasir.Server.Sessions;

/// <summary>A command of the table: its definition, its subcommands by name, and what was counted of it.</summary>
internal sealed class CommandEntry
{
    public CommandEntry(CommandDefinition definition, CommandEntry? parent)
    {
        Definition = definition;
        Parent = parent;
        FullName = parent is null ? definition.Name : parent.FullName + "|" + definition.Name;
        FullNameBytes = Encoding.ASCII.GetBytes(FullName);
        SharesRecord = parent is null && definition.Group is "string" or "bitmap";
        if (definition.Subcommands.Count != 0)
            Subcommands = new CommandTable(definition.Subcommands, this);
    }

    public CommandDefinition Definition { get; }

    public CommandEntry? Parent { get; }

    /// <summary>As INFO and errors write it: <c>client|kill</c>.</summary>
    public string FullName { get; }

    public byte[] FullNameBytes { get; }

    public CommandTable? Subcommands { get; }

    /// <summary>It only reads and writes keys of the selected database, so it may share a log record: see <see cref="CommitGroup"/>.</summary>
    public bool SharesRecord { get; }

    public CommandCounters Counters { get; } = new();

    public bool HasArity(int argumentCount) =>
        Definition.Arity >= 0 ? argumentCount == Definition.Arity : argumentCount >= -Definition.Arity;
}

/// <summary>Counted inside the mailbox; read from anywhere.</summary>
internal sealed class CommandCounters
{
    private readonly long[] _buckets = new long[32];

    public long Calls { get; private set; }

    public long Microseconds { get; private set; }

    public long Rejected { get; set; }

    public long Failed { get; set; }

    /// <summary>Calls that took at most 2^i microseconds and more than half of that.</summary>
    public ReadOnlySpan<long> Buckets => _buckets;

    public void Count(long microseconds)
    {
        Calls++;
        Microseconds += microseconds;
        _buckets[Math.Min(BitOperations.Log2((ulong)Math.Max(microseconds - 1, 0)) + (microseconds > 1 ? 1 : 0), 31)]++;
    }

    public void Reset()
    {
        Calls = 0;
        Microseconds = 0;
        Rejected = 0;
        Failed = 0;
        Array.Clear(_buckets);
    }

    /// <summary>Microseconds that <paramref name="percent"/> of the calls did not exceed, by bucket.</summary>
    public double Percentile(double percent)
    {
        long wanted = (long)Math.Ceiling(Calls * percent / 100);
        long seen = 0;
        for (int i = 0; i < _buckets.Length; i++)
        {
            seen += _buckets[i];
            if (seen >= wanted && seen > 0)
                return 1L << i;
        }

        return 0;
    }
}
