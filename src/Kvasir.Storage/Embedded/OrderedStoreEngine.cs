namespace Kvasir.Storage.Embedded;

/// <summary>Engines whose keys are in order.</summary>
public enum OrderedStoreEngine
{
    /// <summary>A log-structured merge tree: for many writes, and more data than memory.</summary>
    Lsm,

    /// <summary>A copy-on-write B+tree: for many reads. Keys of at most about a thousand bytes; its memory is the system's page cache.</summary>
    BTree,
}
