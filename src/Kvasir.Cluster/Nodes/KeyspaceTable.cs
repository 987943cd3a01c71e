using System.Collections.Immutable;
using System.Globalization;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Primitives;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// Which keyspaces a node that is alone has beside its numbered databases, and which engine lies in which folder. Whatever is in it was
/// made before it said so; what is no longer in it is nobody's. Immutable: the file is replaced as a whole.
/// </summary>
/// <param name="DatabaseEngine">Of the system keyspace and of databases that have no entry.</param>
/// <param name="NextNumber">Of a keyspace that is made: never given twice.</param>
/// <param name="Entries">In the order of their streams.</param>
internal sealed record KeyspaceTable(string DatabaseEngine, uint NextNumber, ImmutableArray<KeyspaceEntry> Entries)
{
    /// <summary>Streams from here on are of keyspaces that were made by their name.</summary>
    public const uint FirstNamedStream = 1 << 16;

    /// <summary>What a folder is understood by that has no such file.</summary>
    public static KeyspaceTable Of(string databaseEngine) => new(databaseEngine, NextNumber: 1, []);

    public static bool IsNamed(uint stream) => stream >= FirstNamedStream;

    /// <summary>In the order of their streams.</summary>
    public IEnumerable<KeyspaceEntry> Named => Entries.Where(e => IsNamed(e.Stream));

    public KeyspaceEntry? Find(string name) => Entries.FirstOrDefault(e => e.Name == name);

    /// <summary>What is to be opened for the system keyspace (stream 0) or a database.</summary>
    public KeyspaceEntry OfNumbered(uint stream)
    {
        Check.That(!IsNamed(stream));
        string name = stream == 0 ? KeyspaceFolders.SystemName : KeyspaceFolders.NameOf((int)stream - 1);
        return Entries.FirstOrDefault(e => e.Stream == stream) ?? new KeyspaceEntry(stream, name, DatabaseEngine, Durability: null, name);
    }

    /// <summary>Whether writes to this stream may be in the journal though nobody has it any more.</summary>
    public bool WasDropped(uint stream) => WasMade(stream) && Entries.All(e => e.Stream != stream);

    public bool WasMade(uint stream) => IsNamed(stream) && stream - FirstNamedStream < NextNumber;

    /// <summary>
    /// A keyspace more. Its folder has a name that no other ever has: what a crash leaves of one that was dropped, or never came to be,
    /// is nobody else's.
    /// </summary>
    public KeyspaceTable With(string name, string engine, Durability durability, out KeyspaceEntry added)
    {
        Check.That(Find(name) is null);
        added = new KeyspaceEntry(FirstNamedStream + NextNumber, name, engine, durability, FolderName(name, NextNumber));
        return this with { NextNumber = NextNumber + 1, Entries = Entries.Add(added) };
    }

    /// <summary>A number for a folder, which nothing else ever has.</summary>
    public KeyspaceTable WithNumberTaken(out uint number)
    {
        number = NextNumber;
        return this with { NextNumber = NextNumber + 1 };
    }

    /// <summary>The same keyspace in another folder, on another engine; a numbered database has an entry from then on.</summary>
    public KeyspaceTable WithMoved(KeyspaceEntry moved) =>
        this with { Entries = [.. Entries.Where(e => e.Stream != moved.Stream).Append(moved).OrderBy(static e => e.Stream)] };

    public KeyspaceTable Without(KeyspaceEntry entry) => this with { Entries = Entries.Remove(entry) };

    /// <summary>A folder in <c>keyspaces/</c> that was a keyspace's, or was to be, and is none any more.</summary>
    public bool IsLeftOver(string folder) => IsNumberedLeftOver(folder) || Entries.Any(e => e.Name == folder && e.Folder != folder);

    private bool IsNumberedLeftOver(string folder) =>
        folder.LastIndexOf('.') is var point and > 0
        && uint.TryParse(folder.AsSpan(point + 1), NumberStyles.None, CultureInfo.InvariantCulture, out uint number) && number <= NextNumber
        && Entries.All(e => e.Folder != folder);

    public static string FolderName(string name, uint number) => string.Create(CultureInfo.InvariantCulture, $"{name}.{number}");

    public bool Equals(KeyspaceTable? other) =>
        other is not null && DatabaseEngine == other.DatabaseEngine && NextNumber == other.NextNumber && Entries.SequenceEqual(other.Entries);

    public override int GetHashCode() => (int)NextNumber;
}

/// <param name="Stream">Its part of journal records; never another's.</param>
/// <param name="Name">That it was made with.</param>
/// <param name="Engine">The word of its engine's factory.</param>
/// <param name="Durability">Null: as the server says.</param>
/// <param name="Folder">Below <c>keyspaces/</c>.</param>
internal sealed record KeyspaceEntry(uint Stream, string Name, string Engine, Durability? Durability, string Folder);
