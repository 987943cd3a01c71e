using System.Buffers.Binary;
using System.Globalization;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Snapshots;
using Kvasir.Primitives;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Nodes;

/// <summary>
/// The folders of replicas' engines (docs/formats/node.md): <c>replicas/7</c> for group 7, and, for one that began anew from a
/// snapshot, <c>replicas/7.1</c> and so on, each with a mark that says behind which index of the log it is the right one.
/// </summary>
internal sealed class ReplicaFolders(IFileSystem files, string root, Func<string, string, IStorageEngine> open) : ISnapshotFolders
{
    private const string MarkSuffix = ".installed";
    private const int MarkBytes = 20;
    private const string DifferenceSuffix = ".differs";
    private const string DamageSuffix = ".damaged";
    private const int DifferenceBytes = 36;

    /// <summary>Beside folders that begin with the number of a group: what is on its way to other nodes.</summary>
    public const string OutgoingFolder = "outgoing";

    private long _outgoing;

    // The last number that a group's folder had from here, whatever became of it.
    private readonly Dictionary<GroupId, int> _given = [];

    private static ReadOnlySpan<byte> Magic => "KVSNAPSH"u8;

    private static ReadOnlySpan<byte> DifferenceMagic => "KVDIFFER"u8;

    private static ReadOnlySpan<byte> DamageMagic => "KVDAMAGE"u8;

    /// <summary>
    /// The folder of a replica whose log begins behind <paramref name="logBase"/>: the newest whose snapshot the log knows of.
    /// All others are removed: their snapshots came to nothing, or newer ones took their place.
    /// </summary>
    public string Find(GroupId group, LogIndex logBase)
    {
        int found = Current(group, logBase);
        foreach (int number in Numbers(group))
        {
            if (number != found)
                Remove(group, number);
        }

        return PathOf(group, found);
    }

    /// <summary>As <see cref="Find"/>, and removes nothing.</summary>
    public string Locate(GroupId group, LogIndex logBase) => PathOf(group, Current(group, logBase));

    /// <summary>The entry of the snapshot that the replica in this folder began with; zero where it began with none.</summary>
    public LogIndex SnapshotOf(string folder) => TryReadMark(folder + MarkSuffix, Magic, out LogIndex index) ? index : LogIndex.Zero;

    /// <summary>A folder for a replica that was never here, empty.</summary>
    public string Begin(GroupId group)
    {
        RemoveAll(group);

        // Its marks may have outlived a folder that was being removed.
        Remove(group, 0);
        return PathOf(group, 0);
    }

    public void RemoveAll(GroupId group)
    {
        foreach (int number in Numbers(group))
            Remove(group, number);
    }

    /// <summary>Those of groups of which this is true.</summary>
    public void RemoveAll(Func<GroupId, bool> isRemoved)
    {
        if (!files.FolderExists(root))
            return;
        foreach (string folder in files.ListFolders(root).ToArray())
        {
            if (uint.TryParse(folder.Split('.')[0], NumberStyles.None, CultureInfo.InvariantCulture, out uint group) && isRemoved(new GroupId(group)))
                RemoveAll(new GroupId(group));
        }
    }

    /// <summary>Which engine a group's replica shall have; what it has, where nobody says.</summary>
    public Func<RaftGroup, string> EngineWanted { get; init; } = static group => group.Replica.Options.Engine;

    public IStorageEngine OpenIncoming(RaftGroup group, out string folder, out string name)
    {
        name = EngineWanted(group);
        folder = NextPathOf(group.Id);
        return open(folder, name);
    }

    public IFileSystem Files => files;

    /// <summary>Who makes the engines; without it none can be copied.</summary>
    public Func<string, IEngineFactory?> FactoryOf { get; init; } = static _ => null;

    public bool ShipsFiles(string engine) => FactoryOf(engine)?.ShipsFiles == true;

    public string NextOutgoing(GroupId group) => string.Create(CultureInfo.InvariantCulture, $"{root}/{OutgoingFolder}/{group}-{++_outgoing}");

    /// <summary>What was on its way to other nodes when the node ended.</summary>
    public void RemoveOutgoing() => FolderTree.Remove(files, root + "/" + OutgoingFolder);

    public string BeginCopy(RaftGroup group, out string name)
    {
        name = EngineWanted(group);
        return Reserve(group.Id);
    }

    public string FolderOf(RaftGroup group) => Locate(group.Id, group.BaseIndex);

    public void VerifyCopied(string path, string name)
    {
        if (FactoryOf(name)?.VerifyFile(files, path) is [{ } damage, ..])
            throw new CorruptionException(damage.Detail);
    }

    public IStorageEngine OpenCopied(string folder, string name)
    {
        if (FactoryOf(name)?.FindMissing(files, folder) is { } missing)
            throw new FileMissingException($"{missing} is missing in what was copied", inner: null);
        return open(folder, name);
    }

    /// <summary>An empty folder beside the one that the replica has, which is nobody's before it is marked.</summary>
    public string Reserve(GroupId group)
    {
        string folder = NextPathOf(group);
        files.CreateFolder(folder);
        return folder;
    }

    /// <summary>The folder is no longer the replica's, durably, whether it was or not.</summary>
    public void Unmark(string folder)
    {
        if (files.FileExists(folder + MarkSuffix))
            files.Delete(folder + MarkSuffix);
        files.SyncFolder(root);
    }

    public void Mark(RaftGroup group, string folder, LogIndex index) => WriteMark(folder + MarkSuffix, Magic, index);

    /// <summary>The replica in its newest folder is stopped for good; a start keeps to that.</summary>
    public void MarkStopped(GroupId group, LogIndex logBase, StateDifference difference)
    {
        Span<byte> bytes = stackalloc byte[DifferenceBytes];
        DifferenceMagic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], difference.Index.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], difference.Own.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[24..], difference.Leaders.Value);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[(DifferenceBytes - 4)..], Crc32C.Compute(bytes[..(DifferenceBytes - 4)]));
        AtomicFile.Replace(files, PathOf(group, Current(group, logBase)) + DifferenceSuffix, bytes);
    }

    /// <summary>The files of the replica in its newest folder are damaged, so that it is stopped for good; a start keeps to that.</summary>
    public void MarkDamaged(GroupId group, LogIndex logBase)
    {
        int number = 0;
        try
        {
            number = Current(group, logBase);
        }
        catch (CorruptionException)
        {
            // A mark that says which folder it is is what is damaged: every start finds that again.
        }

        WriteMark(PathOf(group, number) + DamageSuffix, DamageMagic, logBase);
    }

    /// <summary>It was found before that the files in this folder are damaged.</summary>
    public bool IsDamaged(string folder) => TryReadMark(folder + DamageSuffix, DamageMagic, out _);

    /// <summary>Why the replica in this folder is stopped; null when it is not.</summary>
    public StateDifference? ReadStopped(string folder)
    {
        string path = folder + DifferenceSuffix;
        if (!files.FileExists(path))
            return null;
        Span<byte> bytes = stackalloc byte[DifferenceBytes];
        Read(path, bytes, DifferenceMagic, "it does not say why a replica is stopped");
        return new StateDifference(
            new LogIndex(BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..])),
            new StateDigest(BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..])),
            new StateDigest(BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..])));
    }

    public void Discard(RaftGroup group, string folder)
    {
        // The mark first, and for good: without it the folder is nobody's.
        if (files.FileExists(folder + MarkSuffix))
        {
            files.Delete(folder + MarkSuffix);
            files.SyncFolder(root);
        }

        FolderTree.Remove(files, folder);
    }

    private int Current(GroupId group, LogIndex logBase)
    {
        int found = 0;
        foreach (int number in Numbers(group))
        {
            if (number > found && TryReadMark(PathOf(group, number) + MarkSuffix, Magic, out LogIndex index) && index <= logBase)
                found = number;
        }

        return found;
    }

    public void DiscardBefore(RaftGroup group, string folder)
    {
        foreach (int number in Numbers(group.Id))
        {
            if (PathOf(group.Id, number) == folder)
                return;
            Remove(group.Id, number);
        }
    }

    /// <summary>
    /// Of a number that no folder of the group has, nor had since the node began: whoever made one that came to nothing may remove it
    /// once more, when something else is under way already.
    /// </summary>
    private string NextPathOf(GroupId group)
    {
        int next = Math.Max(Numbers(group).DefaultIfEmpty(0).Max(), _given.GetValueOrDefault(group)) + 1;
        _given[group] = next;
        return PathOf(group, next);
    }

    private string PathOf(GroupId group, int number) =>
        number == 0 ? $"{root}/{group}" : string.Create(CultureInfo.InvariantCulture, $"{root}/{group}.{number}");

    /// <summary>Ascending.</summary>
    private List<int> Numbers(GroupId group)
    {
        List<int> numbers = [];
        if (!files.FolderExists(root))
            return numbers;
        string name = group.ToString();
        foreach (string folder in files.ListFolders(root))
        {
            if (folder == name)
                numbers.Add(0);
            else if (folder.StartsWith(name + ".", StringComparison.Ordinal)
                && int.TryParse(folder.AsSpan(name.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number > 0)
                numbers.Add(number);
        }

        numbers.Sort();
        return numbers;
    }

    private void Remove(GroupId group, int number)
    {
        string path = PathOf(group, number);
        if (files.FileExists(path + MarkSuffix))
        {
            files.Delete(path + MarkSuffix);
            files.SyncFolder(root);
        }

        FolderTree.Remove(files, path);

        // Behind the folder: what is stopped is never taken for whole.
        foreach (string suffix in new[] { DifferenceSuffix, DamageSuffix })
        {
            if (!files.FileExists(path + suffix))
                continue;
            files.Delete(path + suffix);
            files.SyncFolder(root);
        }
    }

    private void WriteMark(string path, ReadOnlySpan<byte> magic, LogIndex index)
    {
        Span<byte> bytes = stackalloc byte[MarkBytes];
        magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], index.Value);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[(MarkBytes - 4)..], Crc32C.Compute(bytes[..(MarkBytes - 4)]));
        AtomicFile.Replace(files, path, bytes);
    }

    private bool TryReadMark(string path, ReadOnlySpan<byte> magic, out LogIndex index)
    {
        index = LogIndex.Zero;
        if (!files.FileExists(path))
            return false;
        Span<byte> bytes = stackalloc byte[MarkBytes];
        Read(path, bytes, magic, "it is no mark of a replica");
        index = new LogIndex(BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]));
        return true;
    }

    private void Read(string path, Span<byte> bytes, ReadOnlySpan<byte> magic, string damage)
    {
        using IFile file = files.Open(path, FileOpenMode.Read);
        int last = bytes.Length - 4;
        if (file.Length != bytes.Length || file.Read(bytes, 0) != bytes.Length || !bytes[..8].SequenceEqual(magic)
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes[last..]) != Crc32C.Compute(bytes[..last]))
            throw new CorruptionException(path, 0, damage);
    }
}
