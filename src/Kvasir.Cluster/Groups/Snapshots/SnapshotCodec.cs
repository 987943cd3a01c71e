using System.Buffers.Binary;
using System.Text;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;

namespace Kvasir.Cluster.Groups.Snapshots;

/// <summary>Who offers a snapshot to whom: what a message to the group's member says.</summary>
/// <param name="Term">In which the sender leads.</param>
/// <param name="FromGeneration">Of the sender's member of the group.</param>
/// <param name="ToGeneration">Of the receiver's: an earlier one, or a later one, is somebody else.</param>
internal readonly record struct SnapshotOrigin(Term Term, uint FromGeneration, uint ToGeneration);

/// <summary>Which snapshot: the last entry whose effects it holds, and the configuration in force there.</summary>
internal readonly record struct SnapshotHead(LogIndex Index, Term Term, ConfigurationEntry Configuration)
{
    public SnapshotOrigin Offer { get; init; }

    /// <summary>Of the state that it is.</summary>
    public StateDigest Digest { get; init; }
}

[Flags]
internal enum SnapshotChunkFlags : byte
{
    None = 0,

    /// <summary>It begins with the head.</summary>
    First = 1,

    /// <summary>None follows.</summary>
    Last = 2,

    /// <summary>The snapshot is files of an engine, not rows.</summary>
    Files = 4,
}

/// <summary>A file of an engine that is copied as it is.</summary>
/// <param name="Name">In the engine's folder.</param>
/// <param name="Length">In bytes.</param>
internal readonly record struct SnapshotFile(string Name, long Length);

/// <summary>How the receiver stands. On the wire: numbers are never changed or reused.</summary>
internal enum SnapshotProgress : byte
{
    /// <summary>So many chunks have come.</summary>
    Receiving = 0,

    /// <summary>It has taken the place of what was there, or was not needed any more.</summary>
    Installed = 1,

    /// <summary>It comes to nothing: begin anew, when it is wanted again.</summary>
    Failed = 2,
}

/// <summary>The bytes of snapshots on their way (docs/formats/raft-messages.md). Never reads outside of what it is given.</summary>
internal static class SnapshotCodec
{
    public const byte FormatVersion = 3;
    private const int ChecksumBytes = 4;
    private const int NameBytesMax = 255;

    /// <summary>A message of one of the two channels that another version of the program has sent, and that says nothing here.</summary>
    public static bool IsOfOtherFormat(ReadOnlySpan<byte> message, out byte version)
    {
        version = message.Length < 2 ? FormatVersion : message[1];
        return version != FormatVersion;
    }

    /// <summary>Begins a chunk: what was in the buffer is gone.</summary>
    public static void BeginChunk(BytesBuffer to, GroupId group, ulong stream, ulong number)
    {
        to.Clear();
        to.Append(Channel.SnapshotChunks);
        to.Append(FormatVersion);
        to.GetSpan(ChecksumBytes)[..ChecksumBytes].Clear();
        to.Advance(ChecksumBytes);
        Number(to, group.Value);
        Number(to, stream);
        Number(to, number);
        to.Append((byte)SnapshotChunkFlags.None);
    }

    public static void AddHead(BytesBuffer to, in SnapshotHead head)
    {
        Number(to, head.Offer.Term.Value);
        Number(to, head.Offer.FromGeneration);
        Number(to, head.Offer.ToGeneration);
        Number(to, head.Index.Value);
        Number(to, head.Term.Value);
        Number(to, head.Configuration.Index.Value);
        Number(to, head.Configuration.Term.Value);
        int length = ConfigurationCodec.Length(head.Configuration.Configuration);
        Number(to, (ulong)length);
        to.Advance(ConfigurationCodec.Write(to.GetSpan(length), head.Configuration.Configuration));
        Number(to, head.Digest.Value);
    }

    public static void AddRow(BytesBuffer to, ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, long expiresAtMs)
    {
        Number(to, (ulong)key.Length);
        Number(to, (ulong)value.Length);
        Number(to, (ulong)expiresAtMs);
        to.Append(key);
        to.Append(value);
    }

    /// <summary>Which files come in the chunks that follow, one behind the other, and of what engine.</summary>
    public static void AddFiles(BytesBuffer to, string engine, IReadOnlyList<SnapshotFile> files)
    {
        Text(to, engine);
        Number(to, (ulong)files.Count);
        foreach (SnapshotFile file in files)
        {
            Text(to, file.Name);
            Number(to, (ulong)file.Length);
        }
    }

    /// <summary>What <see cref="AddFiles"/> adds, at most.</summary>
    public static long FilesBytesMax(string engine, IReadOnlyList<SnapshotFile> files) =>
        engine.Length + (2L * Varint.MaxLength64) + files.Sum(static f => f.Name.Length + (2L * Varint.MaxLength64));

    /// <param name="to">The chunk.</param>
    /// <param name="headBytes">Where its content begins: what <see cref="BytesBuffer.Length"/> was after <see cref="BeginChunk"/>.</param>
    /// <param name="flags">What it is.</param>
    public static void EndChunk(BytesBuffer to, int headBytes, SnapshotChunkFlags flags)
    {
        Span<byte> bytes = to.WrittenSpan;
        bytes[headBytes - 1] = (byte)flags;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[2..], Crc32C.Compute(bytes[(2 + ChecksumBytes)..]));
    }

    public static bool TryReadChunk(
        ReadOnlySpan<byte> message, out GroupId group, out ulong stream, out ulong number, out SnapshotChunkFlags flags, out ReadOnlySpan<byte> content)
    {
        (group, stream, number, flags) = (GroupId.None, 0, 0, SnapshotChunkFlags.None);
        content = default;
        if (message.Length < 2 + ChecksumBytes || message[1] != FormatVersion
            || BinaryPrimitives.ReadUInt32LittleEndian(message[2..]) != Crc32C.Compute(message[(2 + ChecksumBytes)..]))
            return false;
        message = message[(2 + ChecksumBytes)..];
        if (!TryGroup(ref message, out group) || !TryNumber(ref message, out stream) || !TryNumber(ref message, out number) || message.IsEmpty || message[0] > 7)
            return false;
        flags = (SnapshotChunkFlags)message[0];
        content = message[1..];
        return true;
    }

    public static bool TryReadHead(ref ReadOnlySpan<byte> content, out SnapshotHead head)
    {
        head = default;
        if (!TryNumber(ref content, out ulong leads) || !TryNumber(ref content, out ulong from) || !TryNumber(ref content, out ulong to)
            || leads > RaftMessageCodec.NumberMax || from > uint.MaxValue || to > uint.MaxValue
            || !TryNumber(ref content, out ulong index) || !TryNumber(ref content, out ulong term)
            || !TryNumber(ref content, out ulong configurationIndex) || !TryNumber(ref content, out ulong configurationTerm)
            || !TryNumber(ref content, out ulong length) || length > (ulong)content.Length
            || index is 0 or > RaftMessageCodec.NumberMax || term == 0 || term > leads
            || configurationIndex > index || configurationTerm > term
            || !ConfigurationCodec.TryRead(content[..(int)length], out Configuration? configuration))
            return false;
        content = content[(int)length..];
        if (!TryNumber(ref content, out ulong digest))
            return false;
        head = new SnapshotHead(
            new LogIndex(index), new Term(term), new ConfigurationEntry(new LogIndex(configurationIndex), new Term(configurationTerm), configuration))
        {
            Offer = new SnapshotOrigin(new Term(leads), (uint)from, (uint)to),
            Digest = new StateDigest(digest),
        };
        return true;
    }

    /// <summary>False at the end, and when the bytes make no sense: then some are left.</summary>
    public static bool TryReadRow(ref ReadOnlySpan<byte> content, out ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value, out long expiresAtMs)
    {
        key = value = default;
        expiresAtMs = 0;
        ReadOnlySpan<byte> rest = content;
        if (!TryNumber(ref rest, out ulong keyLength) || !TryNumber(ref rest, out ulong valueLength) || !TryNumber(ref rest, out ulong expires)
            || expires > long.MaxValue || keyLength > (ulong)rest.Length || valueLength > (ulong)rest.Length - keyLength)
            return false;
        key = rest[..(int)keyLength];
        value = rest.Slice((int)keyLength, (int)valueLength);
        expiresAtMs = (long)expires;
        content = rest[((int)keyLength + (int)valueLength)..];
        return true;
    }

    /// <summary>False where it makes no sense, or a name could mean something else than a file of its own in one folder.</summary>
    public static bool TryReadFiles(ReadOnlySpan<byte> content, out string engine, out List<SnapshotFile> files)
    {
        files = [];
        if (!TryText(ref content, out engine) || !TryNumber(ref content, out ulong count) || count > (ulong)content.Length)
            return false;
        var names = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        long sum = 0;
        for (ulong i = 0; i < count; i++)
        {
            if (!TryText(ref content, out string name) || !TryNumber(ref content, out ulong length) || length > (ulong)(long.MaxValue - sum) || !names.Add(name))
                return false;
            files.Add(new SnapshotFile(name, (long)length));
            sum += (long)length;
        }

        return content.IsEmpty;
    }

    public static void WriteAcknowledgement(BytesBuffer to, GroupId group, ulong stream, ulong chunks, SnapshotProgress progress)
    {
        to.Clear();
        to.Append(Channel.SnapshotAcknowledgements);
        to.Append(FormatVersion);
        Number(to, group.Value);
        Number(to, stream);
        Number(to, chunks);
        to.Append((byte)progress);
    }

    public static bool TryReadAcknowledgement(
        ReadOnlySpan<byte> message, out GroupId group, out ulong stream, out ulong chunks, out SnapshotProgress progress)
    {
        (group, stream, chunks, progress) = (GroupId.None, 0, 0, SnapshotProgress.Failed);
        if (message.Length < 2 || message[1] != FormatVersion)
            return false;
        message = message[2..];
        if (!TryGroup(ref message, out group) || !TryNumber(ref message, out stream) || !TryNumber(ref message, out chunks)
            || message.Length != 1 || message[0] > (byte)SnapshotProgress.Failed)
            return false;
        progress = (SnapshotProgress)message[0];
        return true;
    }

    private static void Number(BytesBuffer to, ulong value) => to.Advance(Varint.Write(to.GetSpan(Varint.MaxLength64), value));

    private static void Text(BytesBuffer to, string text)
    {
        Check.That(IsName(text), $"{text} is no name of a file that can be sent");
        Number(to, (ulong)text.Length);
        to.Advance(Encoding.ASCII.GetBytes(text, to.GetSpan(text.Length)));
    }

    private static bool TryText(ref ReadOnlySpan<byte> bytes, out string text)
    {
        text = "";
        if (!TryNumber(ref bytes, out ulong length) || length > NameBytesMax || length > (ulong)bytes.Length)
            return false;
        text = Encoding.ASCII.GetString(bytes[..(int)length]);
        bytes = bytes[(int)length..];
        return IsName(text);
    }

    private static bool IsName(string text) =>
        text.Length is > 0 and <= NameBytesMax && text[0] != '.' && text.All(static c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' or '_');

    private static bool TryGroup(ref ReadOnlySpan<byte> bytes, out GroupId group)
    {
        bool isOne = TryNumber(ref bytes, out ulong value) && value is > 0 and <= uint.MaxValue;
        group = isOne ? new GroupId((uint)value) : GroupId.None;
        return isOne;
    }

    private static bool TryNumber(ref ReadOnlySpan<byte> bytes, out ulong value)
    {
        if (!Varint.TryRead(bytes, out value, out int read))
            return false;
        bytes = bytes[read..];
        return true;
    }
}
