namespace Kvasir.Cluster.Groups.Journal;

/// <summary>The first byte of a section (docs/formats/group-journal.md). Persisted: never changed or reused.</summary>
internal enum SectionKind : byte
{
    /// <summary>Where a log begins and ends, and what a member must know beside it. Written at first, and again for trimming.</summary>
    Descriptor = 1,

    /// <summary>The log was replaced by a snapshot. Holds the same as a descriptor.</summary>
    Reset = 2,

    /// <summary>Term and vote.</summary>
    HardState = 3,

    /// <summary>Entries from here on are dropped.</summary>
    Truncation = 4,

    /// <summary>Entries that follow the log's end.</summary>
    Entries = 5,

    /// <summary>The replica is gone; its term and vote stay promised.</summary>
    Removal = 6,

    /// <summary>Which generation of the node's copy the descriptor, reset or removal right behind it is about; not there for zero.</summary>
    Generation = 7,

    /// <summary>What the engine's files must hold, behind the descriptor or reset whose base is held by them alone.</summary>
    Engine = 8,
}
