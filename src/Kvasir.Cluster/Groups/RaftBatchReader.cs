using System.Buffers.Binary;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Messages;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Groups;

/// <summary>
/// Walks the messages of a batch. Never reads outside it, whatever it holds; a message is given only when all of it, entries
/// included, makes sense by itself. Which nodes they are that it goes from and to is known to the caller.
/// </summary>
internal ref struct RaftBatchReader
{
    private ReadOnlySpan<byte> _rest;
    private ReadOnlySpan<byte> _body;

    public RaftBatchReader(ReadOnlySpan<byte> batch)
    {
        if (batch.Length < RaftMessageCodec.BatchHeaderBytes || batch[0] != Channel.Raft || batch[1] != RaftMessageCodec.FormatVersion)
            Malformed = true;
        else
            _rest = batch[RaftMessageCodec.BatchHeaderBytes..];
    }

    public GroupId Group { get; private set; }

    /// <summary>Of the sender's member of the group.</summary>
    public uint FromGeneration { get; private set; }

    /// <summary>Of the receiver's: an earlier one, or a later one, is somebody else.</summary>
    public uint ToGeneration { get; private set; }

    public RaftMessage Message { get; private set; }

    /// <summary>The entries of an append, from behind <see cref="RaftMessage.Index"/> on.</summary>
    public readonly RaftEntryReader Entries => new(_body);

    /// <summary>True after <see cref="MoveNext"/> returned false because the bytes make no sense.</summary>
    public bool Malformed { get; private set; }

    public bool MoveNext()
    {
        if (Malformed || _rest.IsEmpty)
            return false;
        if (_rest.Length < 4)
            return Fail();
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(_rest);
        if (length > (uint)(_rest.Length - 4))
            return Fail();
        _body = _rest.Slice(4, (int)length);
        _rest = _rest[(4 + (int)length)..];
        return TryMessage(out RaftMessage message) && TryEntries(ref message) ? Give(message) : Fail();
    }

    private bool Give(in RaftMessage message)
    {
        Message = message;
        return true;
    }

    private bool TryMessage(out RaftMessage message)
    {
        message = default;
        if (!TryNumber(out ulong group) || group == 0 || group > uint.MaxValue
            || !TryNumber(out ulong from) || from > uint.MaxValue || !TryNumber(out ulong to) || to > uint.MaxValue || _body.Length < 2)
            return false;
        Group = new GroupId((uint)group);
        (FromGeneration, ToGeneration) = ((uint)from, (uint)to);
        message.Kind = (MessageKind)_body[0];
        message.Flags = (MessageFlags)_body[1];
        _body = _body[2..];
        RaftMessageFields fields = RaftMessageCodec.FieldsOf(message.Kind);
        if ((fields & RaftMessageFields.Unknown) != 0 || !TryBounded(out ulong term) || term == 0)
            return false;
        message.Term = new Term(term);
        ulong index = 0, logTerm = 0, last = 0, commit = 0, round = 0, echo = 0, sentAt = 0;
        if (((fields & RaftMessageFields.Index) != 0 && !TryBounded(out index))
            || ((fields & RaftMessageFields.LogTerm) != 0 && !TryBounded(out logTerm))
            || ((fields & RaftMessageFields.LastIndex) != 0 && !TryBounded(out last))
            || ((fields & RaftMessageFields.Commit) != 0 && !TryBounded(out commit))
            || ((fields & RaftMessageFields.Round) != 0 && !TryNumber(out round))
            || ((fields & RaftMessageFields.Echo) != 0 && !TryNumber(out echo))
            || ((fields & RaftMessageFields.SentAt) != 0 && !TryNumber(out sentAt)))
            return false;
        message.Index = new LogIndex(index);
        message.LogTerm = new Term(logTerm);
        message.LastIndex = new LogIndex(last);
        message.Commit = new LogIndex(commit);
        message.Round = round;
        message.Echo = echo;
        message.SentAt = TimeSpan.FromTicks(RaftMessageCodec.UnZigZag(sentAt));
        return true;
    }

    /// <summary>Leaves the body at the entries, all of which are there and nothing behind them.</summary>
    private bool TryEntries(ref RaftMessage message)
    {
        if (message.Kind != MessageKind.Append)
            return _body.IsEmpty;
        if (!TryBounded(out ulong term) || term > message.Term.Value || message.LogTerm.Value > term
            || !TryNumber(out ulong count) || count > (ulong)_body.Length || (count > 0 && term == 0))
            return false;
        message.EntryTerm = new Term(term);
        message.LastIndex = message.Index + count;
        ulong found = 0;
        var entries = new RaftEntryReader(_body);
        while (entries.MoveNext())
        {
            found++;
            if (entries.Kind != EntryKind.Configuration)
                continue;

            // It travels alone.
            if (count != 1 || !ConfigurationCodec.TryRead(entries.Bytes, out Configuration? configuration))
                return false;
            message.Configuration = configuration;
        }

        return !entries.Malformed && found == count;
    }

    private bool TryBounded(out ulong value) => TryNumber(out value) && value <= RaftMessageCodec.NumberMax;

    private bool TryNumber(out ulong value)
    {
        if (!Varint.TryRead(_body, out value, out int read))
            return false;
        _body = _body[read..];
        return true;
    }

    private bool Fail()
    {
        Malformed = true;
        return false;
    }
}

/// <summary>Walks the entries of one append. Never reads outside them.</summary>
internal ref struct RaftEntryReader(ReadOnlySpan<byte> entries)
{
    private ReadOnlySpan<byte> _rest = entries;

    public EntryKind Kind { get; private set; }

    public ReadOnlySpan<byte> Bytes { get; private set; }

    public bool Malformed { get; private set; }

    public bool MoveNext()
    {
        if (_rest.IsEmpty || Malformed)
            return false;
        if (!Varint.TryRead(_rest, out ulong head, out int read) || (head & 3) > (ulong)EntryKind.Configuration
            || head >> 2 > (ulong)(_rest.Length - read))
        {
            Malformed = true;
            return false;
        }

        Kind = (EntryKind)(head & 3);
        Bytes = _rest.Slice(read, (int)(head >> 2));
        _rest = _rest[(read + Bytes.Length)..];
        return true;
    }
}
