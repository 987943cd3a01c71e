using System.Globalization;
using System.Numerics;
using Kvasir.Cluster.Replicas;

namespace Kvasir.Server.Sessions;

/// <summary>
/// maxmemory-clients: bounds what all clients take together, and closes the largest when they take more. While there is no
/// bound nothing is counted. Sessions are counted behind their commands; who then finds <see cref="IsOver"/> set posts this
/// to the mailbox once it has sent what it could, so that replies on their way out close nobody, as in Redis.
/// </summary>
internal sealed class ClientMemory(ServerState server) : IMailboxItem
{
    /// <summary>With less nobody could talk to the server any more: Redis does not go below it either.</summary>
    public const long LimitMin = 128 << 10;

    /// <summary>While there is a bound, idle buffers above this are given back at once: they would count for their clients.</summary>
    public const int SpareBytesMax = 64 << 10;

    // Redis's classes of clients by size: all below 32 KiB are one, then each is twice the last.
    private const int SmallestClassLog = 15;

    // For so long those that may not be closed are left in peace, though there are too many of them.
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(100);

    private long _totalBytes;
    private long _limitBytes;
    private long _foundNobodyAt;
    private volatile bool _isOver;

    /// <summary>There is a bound.</summary>
    public bool IsOn => _limitBytes != 0;

    /// <summary>Clients may take more than they should: somebody is to post this. Any thread.</summary>
    public bool IsOver => _isOver;

    /// <summary>
    /// A client that has so much unsent is looked at before it gets more: it may be closed. One that may not be goes on.
    /// </summary>
    public int OutputMax(ClientState client, int most) => IsOn && !client.NoEvict ? (int)Math.Min(most, _limitBytes) : most;

    /// <summary>Hears who was closed, as CLIENT LIST has it.</summary>
    public Action<RespSession>? Evicted { get; set; }

    /// <summary>Of maxmemory-clients, which may be a part of maxmemory; none when that has none.</summary>
    public static long LimitOf(string setting, long memoryMax)
    {
        long limit;
        if (!setting.EndsWith('%'))
            limit = long.Parse(setting, CultureInfo.InvariantCulture);
        else
            limit = (long)((double)memoryMax * long.Parse(setting.AsSpan(0, setting.Length - 1), CultureInfo.InvariantCulture) / 100);
        return limit == 0 ? 0 : Math.Max(limit, LimitMin);
    }

    public void SetLimit(long bytes)
    {
        _limitBytes = bytes;
        _foundNobodyAt = 0;
        if (IsOn)
            CountAll(server.Clients.All);
        Judge();
    }

    /// <summary>Behind a session's commands, while there is a bound.</summary>
    public void Count(RespSession session)
    {
        // Another node's clients count there.
        if (!session.Pinned.IsNone)
            return;
        long bytes = session.ClosesNow ? 0 : SessionMemory.Of(session);
        _totalBytes += bytes - session.CountedBytes;
        session.CountedBytes = bytes;
        Judge();
    }

    /// <summary>It is gone.</summary>
    public void Forget(RespSession session)
    {
        _totalBytes -= session.CountedBytes;
        session.CountedBytes = 0;
    }

    /// <summary>A client may be closed that was safe before.</summary>
    public void Unprotected() => _foundNobodyAt = 0;

    public void Run(Execution execution)
    {
        _isOver = false;
        if (!IsOn)
            return;

        // What has left since it was counted counts no more.
        RespSession[] sessions = server.Clients.All;
        CountAll(sessions);
        if (_totalBytes < _limitBytes)
            return;

        // The sort is stable: of those of a class, the oldest first.
        foreach (RespSession session in sessions.Where(static s => !s.Client.NoEvict && !s.ClosesNow).OrderByDescending(ClassOf))
        {
            Evict(session);
            if (_totalBytes < _limitBytes)
                return;
        }

        _foundNobodyAt = server.Time.GetTimestamp();
    }

    private static int ClassOf(RespSession session) => Math.Max(BitOperations.Log2((ulong)session.CountedBytes), SmallestClassLog - 1);

    private void Evict(RespSession session)
    {
        Evicted?.Invoke(session);
        server.Statistics.EvictedClients++;

        // Its owner closes it in a moment. Until then it is nobody's client.
        server.Clients.Remove(session);
        Forget(session);
        session.Kill();
    }

    private void CountAll(RespSession[] sessions)
    {
        _totalBytes = 0;
        foreach (RespSession session in sessions)
        {
            session.CountedBytes = 0;
            Count(session);
        }
    }

    private void Judge()
    {
        if (_totalBytes < _limitBytes || !IsOn || _isOver)
            return;
        _isOver = _foundNobodyAt == 0 || server.Time.GetElapsedTime(_foundNobodyAt) >= s_pause;
    }
}
