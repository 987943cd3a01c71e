using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Expiry;

/// <summary>Who tells the world that keys have expired. Called inside the mailbox.</summary>
public interface IExpiryListener
{
    /// <summary>False stops the sweep; expired keys stay hidden and go when somebody meets them.</summary>
    bool SweepIsOn { get; }

    /// <summary>The sweep has deleted an expired key.</summary>
    void Expired(int database, ReadOnlySpan<byte> key);

    /// <summary>Files of a database cannot be read: its sweep rests for a while and tries again. Told once for each failure.</summary>
    void Failed(int database, StorageException failure);
}
