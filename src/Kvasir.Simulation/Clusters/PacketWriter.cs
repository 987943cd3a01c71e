using Kvasir.Primitives;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Histories;

namespace Kvasir.Simulation.Clusters;

/// <summary>Numbers, values and configurations as bytes.</summary>
internal sealed class PacketWriter
{
    private readonly BytesBuffer _bytes = new();

    public ReadOnlySpan<byte> Written => _bytes.WrittenSpan;

    public PacketWriter Clear()
    {
        _bytes.Clear();
        return this;
    }

    public PacketWriter Number(ulong value)
    {
        _bytes.Advance(Varint.Write(_bytes.GetSpan(Varint.MaxLength64), value));
        return this;
    }

    public PacketWriter Signed(long value) => Number(((ulong)value << 1) ^ (ulong)(value >> 63));

    public PacketWriter Bytes(ReadOnlySpan<byte> bytes)
    {
        Number((ulong)bytes.Length);
        bytes.CopyTo(_bytes.GetSpan(bytes.Length));
        _bytes.Advance(bytes.Length);
        return this;
    }

    public PacketWriter Text(string text) => Bytes(System.Text.Encoding.UTF8.GetBytes(text));

    public PacketWriter Value(HistoryValue value)
    {
        if (value.IsNil)
            return Number(0);
        if (value.IsNumber)
            return Number(1).Signed(value.Number);
        if (value.IsText)
            return Number(2).Text(value.Text);
        Number(3).Number((ulong)value.List.Length);
        foreach (HistoryValue element in value.List)
            Value(element);
        return this;
    }

    /// <summary>None is told from one that is empty.</summary>
    public PacketWriter Members(Configuration? configuration)
    {
        Number(configuration is null ? 0UL : 1UL);
        return configuration is null ? this : Ids(configuration.Voters).Ids(configuration.Learners).Ids(configuration.Outgoing);
    }

    private PacketWriter Ids(ReadOnlySpan<MemberId> ids)
    {
        Number((ulong)ids.Length);
        foreach (MemberId id in ids)
            Number(id.Value);
        return this;
    }
}

/// <summary>Reads what a <see cref="PacketWriter"/> wrote; everything it gives is new.</summary>
internal ref struct PacketReader(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    public ulong Number()
    {
        Check.That(Varint.TryRead(_rest, out ulong value, out int read));
        _rest = _rest[read..];
        return value;
    }

    public long Signed()
    {
        ulong value = Number();
        return (long)(value >> 1) ^ -(long)(value & 1);
    }

    public ReadOnlySpan<byte> Bytes()
    {
        int length = (int)Number();
        ReadOnlySpan<byte> bytes = _rest[..length];
        _rest = _rest[length..];
        return bytes;
    }

    public string Text() => System.Text.Encoding.UTF8.GetString(Bytes());

    public HistoryValue Value()
    {
        switch (Number())
        {
            case 0:
                return HistoryValue.Nil;
            case 1:
                return HistoryValue.Of(Signed());
            case 2:
                return HistoryValue.Of(Text());
            default:
                var elements = new HistoryValue[(int)Number()];
                for (int i = 0; i < elements.Length; i++)
                    elements[i] = Value();
                return HistoryValue.Of(elements);
        }
    }

    public Configuration? Members()
    {
        if (Number() == 0)
            return null;
        MemberId[] voters = Ids(), learners = Ids(), outgoing = Ids();
        return new Configuration(voters, learners, outgoing);
    }

    private MemberId[] Ids()
    {
        var ids = new MemberId[(int)Number()];
        for (int i = 0; i < ids.Length; i++)
            ids[i] = new MemberId(Number());
        return ids;
    }
}
