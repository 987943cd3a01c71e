using Kvasir.Cluster.Expiry;
using Kvasir.Server.Settings;
using Kvasir.Storage.Files;

namespace Kvasir.Server.Sessions;

/// <summary>Lets WATCH, keyspace notifications and INFO know what the sweep deletes.</summary>
internal sealed class ExpiryAnnouncer(ServerState server) : IExpiryListener
{
    public bool SweepIsOn => server.ActiveExpire && !server.Pause.IsActive(server.Clock.Refresh());

    public void Expired(int database, ReadOnlySpan<byte> key)
    {
        server.Events.Expired(database, key);
        server.Events.Notify(KeyEventClass.Expired, "expired"u8, database, key);
        server.Events.Tracking?.Broadcast();
        server.Statistics.ExpiredKeys++;
    }

    public void Failed(int database, StorageException failure) => server.SweepFailed?.Invoke(database, failure);
}
