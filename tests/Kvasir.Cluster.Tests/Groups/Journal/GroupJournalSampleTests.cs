using System.Globalization;
using Kvasir.Cluster.Groups;
using Kvasir.Primitives;
using Kvasir.Raft.Log;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Journal;
using static Kvasir.Cluster.Tests.Groups.Journal.GroupWorld;

namespace Kvasir.Cluster.Tests.Groups.Journal;

/// <summary>
/// Keeps docs/formats/group-journal.md true: the sample is the one segment of a journal with a section of every kind, as the
/// page's worked example describes it, and must be readable for ever.
/// </summary>
public sealed class GroupJournalSampleTests
{
    private const string Segment = Folder + "/00000000000000000001.segment";
    private static readonly string s_sample = Path.Combine(AppContext.BaseDirectory, "Samples", "group-journal-v1.segment");

    [Fact]
    public void TheSampleHoldsWhatItsPageSays()
    {
        using GroupWorld written = Written();
        var files = new SimulatedFileSystem(new SeededRandom(1));
        files.WriteAll(Segment, File.ReadAllBytes(s_sample));
        Assert.Empty(JournalVerifier.Verify(files, Folder));
        using var world = new GroupWorld(1, files);
        world.Verify(written.Logs, "the sample");
        Assert.Equal([new GroupId(1), new GroupId(9)], world.Journal.Recovered.Keys);
        Assert.True(world.Journal.IsRemoved(new GroupId(300)));
        Assert.Equal(new LogIndex(21), world.Journal.Recovered[new GroupId(9)].LastIndex);
    }

    [Fact]
    public void AJournalFromBeforeMarksDemandsNothingOfFiles()
    {
        var files = new SimulatedFileSystem(new SeededRandom(1));
        files.WriteAll(Segment, File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Samples", "group-journal-v1-without-marks.segment")));
        using var world = new GroupWorld(1, files);
        Assert.Equal(new LogIndex(20), world.Journal.Recovered[new GroupId(9)].SnapshotIndex);
        Assert.True(world.Journal.NeededOf(new GroupId(9)).IsNone);
    }

    [Fact]
    public void ThePageShowsTheBytesOfTheSample()
    {
        byte[] sample = File.ReadAllBytes(s_sample);
        string page = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Samples", "group-journal.md"));
        int shown = 0, next = 0;
        foreach (string line in page.Split('\n'))
        {
            string[] columns = line.Split("  ", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            if (columns.Length < 2 || !int.TryParse(columns[0], CultureInfo.InvariantCulture, out int offset))
                continue;
            byte[] bytes = Convert.FromHexString(columns[1].Replace(" ", "", StringComparison.Ordinal));
            Assert.Equal(Convert.ToHexString(sample.AsSpan(offset, bytes.Length)), Convert.ToHexString(bytes));
            Assert.True(next == 0 || offset == next, $"the page leaves out what is between {next} and {offset}");
            next = offset + bytes.Length;
            shown++;
        }

        Assert.True(shown >= 25, $"only {shown} lines of the worked example were found");
    }

    [Fact]
    public void TodaysWriterWritesTheSample()
    {
        using GroupWorld world = Written();
        world.Journal.Dispose();
        byte[] written = world.Files.ReadAll(Assert.Single(world.Files.Paths));
        if (Environment.GetEnvironmentVariable("KVASIR_WRITE_SAMPLES") is { Length: > 0 } folder)
            File.WriteAllBytes(Path.Combine(folder, "group-journal-v1.segment"), written);
        Assert.Equal(File.ReadAllBytes(s_sample), written);
    }

    private static GroupWorld Written()
    {
        var world = new GroupWorld(1);
        world.Found(1);
        world.Vote(1, 2, 1);
        world.Append(1, NoOp(2), Normal(2, "kvasir"), Changing(2, new Configuration([new MemberId(1), new MemberId(2)], [new MemberId(4)])));
        world.Join(300);
        world.Vote(300, 7, 3);
        world.Journal.Write();
        world.Overwrite(1, 3, Normal(2, ""));
        world.Vote(1, 4, 3);
        world.Remove(300);
        world.Persist(
            9,
            new HardState(new Term(3), MemberId.None),
            appended: [Normal(3, "behind")],
            snapshot: (new LogIndex(20), new Term(2), new ConfigurationEntry(new LogIndex(5), new Term(1), Three)));
        world.Sync();
        return world;
    }
}
