using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Primitives;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// The file <c>KEYSPACES</c> (docs/formats/node.md): there where a folder has more than numbered databases with the standard engine. Replaced
/// by a rename, so that a keyspace is there, or dropped, as a whole.
/// </summary>
internal static class KeyspaceTableFile
{
    public const string Name = "KEYSPACES";
    private const uint FormatVersion = 1;
    private const byte NoDurability = 0;

    // A byte says how long it is.
    private const int TextBytesMax = byte.MaxValue;

    private static ReadOnlySpan<byte> Magic => "KVKEYSP\n"u8;

    /// <summary>As <see cref="Read(IFileSystem, string, NodeIdentity, string)"/>, for those who build on it: it is durable then.</summary>
    public static KeyspaceTable ReadDurable(IFileSystem files, string folder, NodeIdentity identity, string standardEngine)
    {
        // The name may be in the page cache only, from a start that was killed; what follows is durable before it.
        if (files.FileExists(PathIn(folder)))
            files.SyncFolder(folder);
        return Read(files, folder, identity, standardEngine);
    }

    /// <summary>
    /// What the folder says; nothing is written. Throws where it is damaged, or missing though <paramref name="identity"/> tells of it.
    /// </summary>
    public static KeyspaceTable Read(IFileSystem files, string folder, NodeIdentity identity, string standardEngine)
    {
        string path = PathIn(folder);
        if (files.FileExists(path))
            return Read(files, path);
        return identity.HasKeyspaceTable ? throw new FileMissingException(path) : KeyspaceTable.Of(standardEngine);
    }

    public static string PathIn(string folder) => folder + "/" + Name;

    public static void Write(IFileSystem files, string folder, KeyspaceTable table)
    {
        BytesBuffer bytes = SealedFile.Begin(Magic, FormatVersion);
        SealedFile.AppendNumber(bytes, table.NextNumber);
        SealedFile.AppendNumber(bytes, (uint)table.Entries.Length);
        Append(bytes, table.DatabaseEngine);
        foreach (KeyspaceEntry entry in table.Entries)
        {
            SealedFile.AppendNumber(bytes, entry.Stream);
            bytes.Append(entry.Durability is { } durability ? (byte)(durability + 1) : NoDurability);
            Append(bytes, entry.Name);
            Append(bytes, entry.Engine);
            Append(bytes, entry.Folder);
        }

        SealedFile.Replace(files, PathIn(folder), bytes);
    }

    /// <summary>The file's parts; throws where it is damaged.</summary>
    public static IReadOnlyList<InspectedPart> Inspect(IFileSystem files, string path)
    {
        KeyspaceTable table = Read(files, path);
        return
        [
            new InspectedPart(0, files.FileLength(path), "keyspaces",
            [
                new("engine of databases", table.DatabaseEngine),
                new("next number", table.NextNumber.ToString(CultureInfo.InvariantCulture)),
            ]),
            .. table.Entries.Select(static e => new InspectedPart(0, 0, "keyspace",
            [
                new("stream", e.Stream.ToString(CultureInfo.InvariantCulture)),
                new("name", e.Name),
                new("engine", e.Engine),
                new("durability", e.Durability?.ToString().ToLowerInvariant() ?? "as the server"),
                new("folder", e.Folder),
            ])),
        ];
    }

    private static KeyspaceTable Read(IFileSystem files, string path) =>
        Decode(SealedFile.Read(files, path, Magic, FormatVersion, "a table of keyspaces")[SealedFile.HeadBytes..])
            ?? throw new CorruptionException(path, SealedFile.HeadBytes, "what it says makes no sense");

    private static KeyspaceTable? Decode(ReadOnlySpan<byte> rest)
    {
        if (rest.Length < 8)
            return null;
        uint next = BinaryPrimitives.ReadUInt32LittleEndian(rest);
        uint count = BinaryPrimitives.ReadUInt32LittleEndian(rest[4..]);
        rest = rest[8..];
        if (!TryText(ref rest, out string engine))
            return null;
        var entries = ImmutableArray.CreateBuilder<KeyspaceEntry>();
        for (uint i = 0; i < count; i++)
        {
            if (rest.Length < 5)
                return null;
            uint stream = BinaryPrimitives.ReadUInt32LittleEndian(rest);
            byte durability = rest[4];
            rest = rest[5..];
            bool follows = entries.Count == 0 || stream > entries[^1].Stream;
            bool isMade = !KeyspaceTable.IsNamed(stream) || stream - KeyspaceTable.FirstNamedStream < next;
            if (!follows || !isMade || durability > (byte)Durability.None + 1 || !TryText(ref rest, out string name)
                || !TryText(ref rest, out string own) || !TryText(ref rest, out string folder) || name.Length == 0 || !IsFolderName(folder))
                return null;
            entries.Add(new KeyspaceEntry(stream, name, own, durability == NoDurability ? null : (Durability)(durability - 1), folder));
        }

        bool isSound = rest.IsEmpty && next > 0
            && entries.Select(e => e.Name).Distinct(StringComparer.Ordinal).Count() == entries.Count
            && entries.Select(e => e.Folder).Distinct(StringComparer.Ordinal).Count() == entries.Count;
        return isSound ? new KeyspaceTable(engine, next, entries.ToImmutable()) : null;
    }

    private static bool IsFolderName(string folder) => folder.Length > 0 && !folder.Contains('/', StringComparison.Ordinal) && folder is not ("." or "..");

    private static bool TryText(ref ReadOnlySpan<byte> rest, out string text)
    {
        text = "";
        if (rest.IsEmpty || rest.Length < 1 + rest[0])
            return false;
        text = Encoding.UTF8.GetString(rest.Slice(1, rest[0]));
        rest = rest[(1 + rest[0])..];
        return true;
    }

    private static void Append(BytesBuffer bytes, string text)
    {
        int length = Encoding.UTF8.GetByteCount(text);
        Check.That(length <= TextBytesMax);
        bytes.Append((byte)length);
        Encoding.UTF8.GetBytes(text, bytes.GetSpan(length));
        bytes.Advance(length);
    }
}
