using System.Globalization;
using System.Text;
using Kvasir.Simulation.Disks;
using Kvasir.Storage.Journal;

namespace Kvasir.Storage.Tests.Journal;

/// <summary>
/// Keeps docs/formats/journal.md true: the sample is one segment of a journal closed in order, as its worked example
/// describes it, and must be readable for ever.
/// </summary>
public sealed class JournalSampleTests
{
    private static readonly string s_sample = Path.Combine(AppContext.BaseDirectory, "Samples", "journal-v1.segment");

    [Fact]
    public void TheSampleHoldsWhatItsPageSays()
    {
        var world = new JournalWorld(1);
        string path = $"{JournalWorld.Folder}/00000000000000000001.segment";
        world.Files.WriteAll(path, File.ReadAllBytes(s_sample));

        List<string> entries = [];
        JournalInspector.Walk(world.Files, path, entry => entries.Add(string.Create(
            CultureInfo.InvariantCulture,
            $"{entry.Offset} {entry.Kind} {entry.Position} {Encoding.UTF8.GetString(entry.Payload.Span)}{entry.Mark?.Durable}")));
        Assert.Equal(
            ["4096 Mark 25 0", "4121 Record 40 kvasir", "4136 Record 49 ", "4145 ClosingMark 74 49"],
            entries);
        Assert.Empty(JournalVerifier.Verify(world.Files, JournalWorld.Folder));
        using (world.Open())
            Assert.Equal([(40UL, "kvasir"), (49UL, "")], world.Replayed.Select(record => (record.Position.Value, record.Payload)));
    }

    [Fact]
    public void ThePageShowsTheBytesOfTheSample()
    {
        byte[] sample = File.ReadAllBytes(s_sample);
        string page = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Samples", "journal.md"));
        int lines = 0;
        foreach (string line in page.Split('\n'))
        {
            // "4096  dd 3c ...   what it is"
            string[] columns = line.Split("  ", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            if (columns.Length < 2 || !int.TryParse(columns[0], CultureInfo.InvariantCulture, out int offset))
                continue;
            byte[] bytes = Convert.FromHexString(columns[1].Replace(" ", "", StringComparison.Ordinal));
            Assert.Equal(Convert.ToHexString(sample.AsSpan(offset, bytes.Length)), Convert.ToHexString(bytes));
            lines++;
        }

        Assert.True(lines >= 15, $"only {lines} lines of the worked example were found");
    }

    [Fact]
    public void TodaysWriterWritesTheSample()
    {
        var world = new JournalWorld(1);
        using (JournalWriter journal = world.Open())
        {
            JournalWorld.Append(journal, "kvasir");
            JournalWorld.Append(journal, "");
        }

        string path = Assert.Single(world.Files.Paths);
        if (Environment.GetEnvironmentVariable("KVASIR_WRITE_SAMPLES") is { Length: > 0 } folder)
            File.WriteAllBytes(Path.Combine(folder, "journal-v1.segment"), world.Files.ReadAll(path));
        Assert.Equal(File.ReadAllBytes(s_sample), world.Files.ReadAll(path));
    }
}
