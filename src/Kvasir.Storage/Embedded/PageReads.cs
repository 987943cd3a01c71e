namespace Kvasir.Storage.Embedded;

/// <summary>How a <see cref="TransactionalStore"/> reads its file.</summary>
public enum PageReads
{
    /// <summary>
    /// Through a map of the file, without a copy; its memory is the system's page cache. A page that cannot be read is an exception of the
    /// transaction that wanted it, and never the end of the process: where that cannot be had (other systems than Linux on x64, memory that
    /// may not be made executable, NativeAOT) this is <see cref="Positional"/>.
    /// </summary>
    Mapped,

    /// <summary>By calls of the system, through a cache of <see cref="TransactionalStoreOptions.CacheBytes"/>.</summary>
    Positional,
}
