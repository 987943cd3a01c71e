using System.Text;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Journal;

namespace Kvasir.Storage.Tests.Journal;

/// <summary>A journal on a simulated disk, and what was read back from it.</summary>
internal sealed class JournalWorld
{
    public const string Folder = "/data/journal";

    public JournalWorld(ulong seed, SimulatedFileSystem? files = null)
    {
        Random = new SeededRandom(seed);
        Files = files ?? new SimulatedFileSystem(Random.Fork());
        Scheduler = new SimulatedScheduler(Random.Fork());
    }

    public static JournalOptions SmallOptions { get; } = new()
    {
        SegmentBytes = 16 << 10,
        FirstSegmentBytes = 8 << 10,
        SpareSegmentsMax = 1,
        PendingBytesMax = 64 << 10,
    };

    public SeededRandom Random { get; }

    public SimulatedFileSystem Files { get; set; }

    public SimulatedScheduler Scheduler { get; private set; }

    public List<(LogPosition Position, string Payload)> Replayed { get; } = [];

    public JournalWriter Open(LogPosition replayAfter = default, JournalOptions? options = null)
    {
        Replayed.Clear();
        return JournalWriter.Open(
            Files,
            Scheduler,
            Folder,
            options ?? SmallOptions,
            replayAfter,
            (position, payload) => Replayed.Add((position, Encoding.UTF8.GetString(payload))));
    }

    /// <summary>The machine lost power; what it finds afterwards.</summary>
    public void Crash(CrashKind kind)
    {
        Files = Files.AfterCrash(Random.Fork(), kind);
        Scheduler = new SimulatedScheduler(Random.Fork());
    }

    public static LogPosition Append(JournalWriter journal, string payload) => journal.Append(Encoding.UTF8.GetBytes(payload));
}
