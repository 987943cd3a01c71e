using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Groups.Journal;
using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Kvasir.Simulation.Scheduling;
using Kvasir.Storage.Files;
using Kvasir.Storage.Journal;
using static Kvasir.Cluster.Tests.Groups.Journal.GroupWorld;

namespace Kvasir.Cluster.Tests.Groups.Journal;

/// <summary>Journals whose checksums are right and whose content cannot be: none of them is opened.</summary>
public sealed class RefusedJournalTests
{
    // Founded by 1, 2 and 3; term 5, vote 2; entries 1 (term 1), 2 and 3 (term 4).
    private const string Founded = "01 00 00 00 00 00 00 00 01 03 01 02 03 00 00";
    private const string Voted = "03 05 02";
    private const string Three = "05 01 04 01 01 61 04 04 01 62 00 00";
    private const string Removed = "06 05 02";

    /// <summary>Each section in a record of its own, all of group 7; with what is said of the last one.</summary>
    public static TheoryData<string, string> Wrong => new()
    {
        { "", "empty section" },
        { "00", "unknown kind 0" },
        { "09 01", "unknown kind 9" },
        { "07", "malformed generation" },
        { "07 00", "malformed generation" },
        { "07 05 00", "malformed generation" },
        { "07 80 80 80 80 10", "malformed generation" },
        { "07 05|" + Voted, "a generation of nothing" },
        { "07 05|07 05", "a generation of nothing" },
        { Founded + "|07 05|" + Removed, "generation 5 behind generation 0" },
        { "07 05|" + Founded + "|" + Founded, "generation 0 behind generation 5" },
        { "07 05|" + Removed + "|07 04|01 05 02 00 00 00 00 00 01 00 00 00", "generation 4 behind generation 5" },
        { "07 05|" + Removed + "|" + Removed, "generation 0 behind generation 5" },
        { "08", "malformed mark of an engine" },
        { "08 01", "malformed mark of an engine" },
        { "08 00 00", "malformed mark of an engine" },
        { "08 01 01 00", "malformed mark of an engine" },
        { "02 05 02 09 01 09 00 00 01 01 01 00 00|08 0A 03", "with a log that begins behind 9" },
        { "02 05 02 09 01 09 00 00 01 01 01 00 00|08 09 0A", "with a log that begins behind 9" },
        { "02 05 02 09 01 09 00 00 01 01 01 00 00|08 09 03|08 09 02", "with a log that begins behind 9" },
        { "02 05 02 09 01 09 00 00 01 01 01 00 00|08 09 03|08 08 03", "with a log that begins behind 9" },
        { Removed + "|08 00 01", "removed" },
        { "08 00 01", "nothing in it says where the log of group 7 begins" },
        { "01", "malformed descriptor" },
        { Founded + " 00", "malformed descriptor" },
        { "01 00 00 05 00 04 00 00 01 00 00 00", "malformed descriptor" },
        { "01 00 00 05 00 05 06 00 01 00 00 00", "malformed descriptor" },
        { "01 00 00 00 00 02 00 00 01 00 00 00", "nothing in it says where the log of group 7 begins" },
        { "01 00 00 00 00 02 00 00 01 00 00 00|05 02 04 01 00", "do not follow 2" },
        { Founded + "|01 05 02 00 00 00 00 00 01 00 00 00", "should behind 0 with" },
        { Founded + "|01 00 00 00 00 00 00 00 01 00 00 00", "the configuration at 0" },
        { Founded + "|" + Voted + "|" + Three + "|01 05 02 02 04 02 00 00 01 03 01 02 03 00 00", "ends at 3, and should at 2" },
        { Founded + "|" + Voted + "|" + Three + "|01 05 02 02 01 03 00 00 01 03 01 02 03 00 00", "entry 2 has term 4, and should have 1" },
        { Founded + "|" + Voted + "|" + Three + "|01 05 02 02 04 03 01 01 01 03 01 02 03 00 00", "the configuration at 2" },
        { Three + "|01 05 02 00 00 04 00 00 01 03 01 02 03 00 00", "ends at 3, and should at 4" },
        { "05 03 04 01 01 61|01 05 02 01 01 03 00 00 01 03 01 02 03 00 00", "nothing in it says where the log of group 7 begins" },
        { "02", "malformed reset" },
        { "02 05 02 09 01 0A 00 00 01 01 01 00 00", "breaks a promise" },
        { Founded + "|" + Voted + "|02 05 01 09 01 09 00 00 01 01 01 00 00", "breaks a promise" },
        { Founded + "|" + Voted + "|" + Removed + "|02 05 02 09 01 09 00 00 01 01 01 00 00", "removed" },
        { "03 01", "malformed term and vote" },
        { "03 01 01 01", "malformed term and vote" },
        { Founded + "|" + Voted + "|03 04 02", "breaks the promise" },
        { Founded + "|" + Voted + "|03 05 01", "breaks the promise" },
        { Removed + "|" + Voted, "removed" },
        { "04", "malformed truncation" },
        { "04 00", "malformed truncation" },
        { "04 01 01", "malformed truncation" },
        { Founded + "|04 01", "behind the log's end" },
        { Founded + "|" + Three + "|04 04", "behind the log's end" },
        { "02 05 02 09 01 09 00 00 01 01 01 00 00|05 0A 04 02 00|04 09", "before the log's begin" },
        { Removed + "|04 01", "removed" },
        { "05", "malformed entries" },
        { "05 01", "malformed entries" },
        { "05 00 04 01 00", "malformed entries" },
        { "05 01 00 00", "malformed entries" },
        { "05 01 04 00 00", "malformed entries" },
        { "05 01 08 01 00", "malformed entries" },
        { "05 01 07 01 00", "malformed entries" },
        { "05 01 04 01 02 61", "malformed entries" },
        { "05 01 04 01 00 04", "malformed entries" },
        { "05 01 06 01 02 01 09", "malformed configuration" },
        { Founded + "|05 02 04 01 00", "do not follow 0" },
        { Founded + "|" + Three + "|05 03 04 04 00", "do not follow 3" },
        { Founded + "|" + Three + "|05 05 04 04 00", "do not follow 3" },
        { Founded + "|" + Three + "|05 04 04 03 00", "below 4" },
        { "02 05 02 09 03 09 00 00 01 01 01 00 00|05 0A 04 02 00", "below 3" },
        { Three + "|05 05 04 04 00", "do not follow 3" },
        { Removed + "|" + Three, "removed" },
        { "06 05", "malformed removal" },
        { Founded + "|" + Removed, "a removal with" },
        { Removed + "|01 05 02 01 01 01 00 00 01 00 00 00", "comes back as another" },
        { Removed + "|01 04 02 00 00 00 00 00 01 00 00 00", "comes back as another" },
        { Three, "nothing in it says where the log of group 7 begins" },
        { Voted, "nothing in it says where the log of group 7 begins" },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void IsRefusedWithWhatIsWrong(string sections, string said)
    {
        SimulatedFileSystem files = Written(journal =>
        {
            var record = new BytesBuffer();
            foreach (string section in sections.Split('|'))
            {
                record.Clear();
                JournalPayload.AppendEntry(record, 7, Convert.FromHexString(section.Replace(" ", "", StringComparison.Ordinal)));
                journal.Append(record.WrittenSpan);
            }
        });
        CorruptionException refusal = Assert.Throws<CorruptionException>(() => new GroupWorld(1, files));
        Assert.Contains(said, refusal.Message, StringComparison.Ordinal);
        Assert.Contains(Folder, refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("07", "do not fill it")]
    [InlineData("07 05 04 01", "do not fill it")]
    [InlineData("00 02 04 01", "of nobody")]
    public void ARecordThatIsNoListOfSectionsIsRefused(string record, string said)
    {
        SimulatedFileSystem files = Written(journal => journal.Append(Convert.FromHexString(record.Replace(" ", "", StringComparison.Ordinal))));
        Assert.Contains(said, Assert.Throws<CorruptionException>(() => new GroupWorld(1, files)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void WhatTheRefusedOnesAreMadeOfIsTakenByItself()
    {
        SimulatedFileSystem files = Written(journal =>
        {
            var record = new BytesBuffer();
            foreach (string section in new[] { Founded, Voted, Three, "04 03", "01 05 02 02 04 02 00 00 01 03 01 02 03 00 00", Removed, Removed })
                JournalPayload.AppendEntry(record, 7, Convert.FromHexString(section.Replace(" ", "", StringComparison.Ordinal)));
            JournalPayload.AppendEntry(record, 8, Convert.FromHexString(Founded.Replace(" ", "", StringComparison.Ordinal)));
            journal.Append(record.WrittenSpan);
        });
        using var world = new GroupWorld(1, files);
        Assert.Equal([new GroupId(8)], world.Journal.Recovered.Keys);
        Assert.True(world.Journal.IsRemoved(new GroupId(7)));
    }

    [Fact]
    public void ABitFlippedAnywhereIsRefusedOrChangesNothing()
    {
        var world = new GroupWorld(3);
        world.Found(1);
        world.Vote(1, 1, 1);
        world.Append(1, NoOp(1), Normal(1, "a"));
        world.Sync();
        world.Append(1, Normal(1, "b"));
        world.Vote(1, 2, 3);
        world.Sync();
        world.Journal.Dispose();
        string path = Assert.Single(world.Files.Paths, name => name.EndsWith(".segment", StringComparison.Ordinal));
        long length = JournalInspector.Walk(world.Files, path, _ => { });
        int refused = 0;
        for (long offset = 0; offset < length; offset++)
        {
            SimulatedFileSystem files = world.Files.Clone();
            files.FlipBit(path, offset, (int)(offset % 8));
            try
            {
                using var other = new GroupWorld(1, files);
                other.Verify(world.Logs, $"offset {offset}");
            }
            catch (StorageException)
            {
                refused++;
            }
        }

        // All but what is reserved in the header, and the closing mark.
        Assert.True(refused > length - 4096, $"only {refused} were refused");
    }

    private static SimulatedFileSystem Written(Action<JournalWriter> write)
    {
        var files = new SimulatedFileSystem(new SeededRandom(1));
        using JournalWriter journal = JournalWriter.Open(
            files, new SimulatedScheduler(new SeededRandom(2)), Folder, SmallOptions, LogPosition.Zero, (_, _) => { });
        write(journal);
        return files;
    }
}
