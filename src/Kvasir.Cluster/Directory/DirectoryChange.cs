using Kvasir.Storage.Engines;

namespace Kvasir.Cluster.Directory;

/// <summary>One record of the directory that is written, or deleted when <paramref name="Value"/> is null.</summary>
public readonly record struct DirectoryChange(byte[] Key, byte[]? Value);

/// <summary>
/// What became of a request: a refusal in words, or the changes to make. They belong together: they are proposed as one entry of
/// the directory's log, and hold only against the view that they were decided on.
/// </summary>
public readonly record struct DirectoryDecision
{
    private readonly IReadOnlyList<DirectoryChange>? _changes;

    private DirectoryDecision(string? refusal, IReadOnlyList<DirectoryChange> changes)
    {
        Refusal = refusal;
        _changes = changes;
    }

    /// <summary>Why not, for a person; null when it is granted.</summary>
    public string? Refusal { get; }

    public bool IsRefused => Refusal is not null;

    /// <summary>None when what was asked for is so already.</summary>
    public IReadOnlyList<DirectoryChange> Changes => _changes ?? [];

    public static DirectoryDecision Refuse(string refusal) => new(refusal, []);

    public static DirectoryDecision Grant(IReadOnlyList<DirectoryChange> changes) => new(null, changes);

    /// <summary>The changes as an engine takes them.</summary>
    public void WriteTo(WriteBatch batch)
    {
        foreach (DirectoryChange change in Changes)
        {
            if (change.Value is null)
                batch.Delete(change.Key);
            else
                batch.Put(change.Key, change.Value);
        }
    }
}
