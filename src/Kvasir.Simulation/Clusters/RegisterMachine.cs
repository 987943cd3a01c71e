using Kvasir.Primitives;
using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Clusters;

/// <summary>What a client asks for, as it stands in a log entry.</summary>
internal readonly record struct MachineCommand(int Client, long Sequence, OperationKind Kind, string Key, HistoryValue Argument)
{
    public byte[] Encode(PacketWriter writer) =>
        writer.Clear().Number((ulong)Client).Signed(Sequence).Number((ulong)Kind).Text(Key).Value(Argument).Written.ToArray();

    public static MachineCommand Decode(ReadOnlySpan<byte> bytes)
    {
        var reader = new PacketReader(bytes);
        return new MachineCommand((int)reader.Number(), reader.Signed(), (OperationKind)reader.Number(), reader.Text(), reader.Value());
    }
}

/// <summary>
/// The replicated state: keys with values, and for each client the last command that was applied with its answer, so that one
/// that comes twice is answered twice and applied once.
/// </summary>
internal sealed class RegisterMachine
{
    private readonly SortedDictionary<string, HistoryValue> _values = new(StringComparer.Ordinal);
    private readonly SortedDictionary<int, (long Sequence, HistoryValue Answer)> _sessions = [];

    /// <summary>Rolling, over all that was applied.</summary>
    public ulong Hash { get; private set; } = 1;

    public HistoryValue Read(string key) => _values.GetValueOrDefault(key);

    /// <summary>Entries without a command count, too.</summary>
    public void Pass(SimulatedEntry entry) => Hash = SimulatedEntry.Chain(Hash, entry.Hash);

    public HistoryValue Apply(in MachineCommand command)
    {
        (long last, HistoryValue answer) = _sessions.GetValueOrDefault(command.Client, (-1, default));
        if (command.Sequence == last)
            return answer;

        // A straggler: its client has gone on long ago and listens no more.
        if (command.Sequence < last)
            return default;
        answer = Change(command);
        _sessions[command.Client] = (command.Sequence, answer);
        return answer;
    }

    public byte[] Save(PacketWriter writer)
    {
        writer.Clear().Number(Hash).Number((ulong)_values.Count);
        foreach ((string key, HistoryValue value) in _values)
            writer.Text(key).Value(value);
        writer.Number((ulong)_sessions.Count);
        foreach ((int client, (long sequence, HistoryValue answer)) in _sessions)
            writer.Number((ulong)client).Signed(sequence).Value(answer);
        return writer.Written.ToArray();
    }

    public static RegisterMachine Load(ReadOnlySpan<byte> state)
    {
        var machine = new RegisterMachine();
        if (state.IsEmpty)
            return machine;
        var reader = new PacketReader(state);
        machine.Hash = reader.Number();
        for (ulong i = reader.Number(); i > 0; i--)
            machine._values.Add(reader.Text(), reader.Value());
        for (ulong i = reader.Number(); i > 0; i--)
            machine._sessions.Add((int)reader.Number(), (reader.Signed(), reader.Value()));
        return machine;
    }

    private HistoryValue Change(in MachineCommand command)
    {
        HistoryValue value = _values.GetValueOrDefault(command.Key);
        switch (command.Kind)
        {
            case OperationKind.Read:
                return value;
            case OperationKind.Write:
                _values[command.Key] = command.Argument;
                return default;
            case OperationKind.CompareAndSet:
                if (value != command.Argument.List[0])
                    return HistoryValue.Of(0);
                _values[command.Key] = command.Argument.List[1];
                return HistoryValue.Of(1);
            case OperationKind.Increment:
                value = HistoryValue.Of((value.IsNumber ? value.Number : 0) + 1);
                _values[command.Key] = value;
                return value;
            case OperationKind.Append:
                value = value.IsList ? HistoryValue.Of([.. value.List, command.Argument]) : HistoryValue.Of([command.Argument]);
                _values[command.Key] = value;
                return HistoryValue.Of(value.List.Length);
            default:
                Check.Fail($"no command: {command.Kind}");
                return default;
        }
    }
}
