using System.Diagnostics.CodeAnalysis;
using System.Text;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Nodes;

/// <summary>What is asked of the directory's leader on behalf of a person. On the wire: numbers are never changed or reused.</summary>
internal enum AdministrationVerb : byte
{
    None = 0,
    CreateKeyspace = 1,
    DropKeyspace = 2,
    Drain = 3,
    Decommission = 4,
    PreferLeader = 5,
    ConvertKeyspace = 6,
    AbortConversion = 7,

    /// <summary>Of any node: answered when it no longer has the keyspace.</summary>
    AwaitDrop = 8,
}

/// <summary>
/// A request of a person to the directory, carried to its leader as a call (docs/formats/directory.md): a kind, a version, a verb and
/// words. The answer is an error's text, or nothing.
/// </summary>
internal sealed record AdministrationCall(AdministrationVerb Verb, IReadOnlyList<string> Words)
{
    // Behind the kinds of DirectoryCallKind, with room between.
    private const byte Kind = 16;
    private const byte FormatVersion = 1;
    private const int WordsMax = 64;
    private const int WordBytesMax = 4096;

    public byte[] ToBytes()
    {
        var bytes = new BytesBuffer();
        bytes.Append(Kind);
        bytes.Append(FormatVersion);
        bytes.Append((byte)Verb);
        bytes.Append((byte)Words.Count);
        foreach (string word in Words)
        {
            byte[] utf8 = Encoding.UTF8.GetBytes(word);
            bytes.Advance(Varint.Write(bytes.GetSpan(Varint.MaxLength32), (ulong)utf8.Length));
            bytes.Append(utf8);
        }

        return bytes.WrittenSpan.ToArray();
    }

    public static bool TryRead(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out AdministrationCall? call)
    {
        call = null;
        if (bytes.Length < 4 || bytes[0] != Kind || bytes[1] != FormatVersion || bytes[3] > WordsMax
            || bytes[2] is 0 or > (byte)AdministrationVerb.AwaitDrop)
            return false;
        var verb = (AdministrationVerb)bytes[2];
        string[] words = new string[bytes[3]];
        bytes = bytes[4..];
        for (int i = 0; i < words.Length; i++)
        {
            if (!Varint.TryRead(bytes, out ulong length, out int read) || length > WordBytesMax || length > (ulong)(bytes.Length - read))
                return false;
            words[i] = Encoding.UTF8.GetString(bytes.Slice(read, (int)length));
            bytes = bytes[(read + (int)length)..];
        }

        if (!bytes.IsEmpty)
            return false;
        call = new AdministrationCall(verb, words);
        return true;
    }

    public static byte[] WriteReply(string? error) => Encoding.UTF8.GetBytes(error ?? "");

    public static string? ReadReply(ReadOnlySpan<byte> bytes) => bytes.IsEmpty ? null : Encoding.UTF8.GetString(bytes);
}
