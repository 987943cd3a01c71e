using System.Globalization;
using System.Runtime.CompilerServices;
using Kvasir.Samples.Tutorial;

namespace Kvasir.Samples.Tests;

public sealed class TutorialTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("log")]
    [InlineData("segments")]
    [InlineData("sorted")]
    [InlineData("tree")]
    public void EveryStepAnswersAsADictionaryDoes(string step)
    {
        using ITutorialStore store = Open(step);
        Dictionary<string, string> model = Fill(store, keys: 30_000, writes: 150_000);
        foreach ((string key, string value) in model)
            Assert.Equal(value, store.Get(key));
        Assert.Null(store.Get("key-"));
        Assert.Null(store.Get("key-1?"));
        Assert.Null(store.Get("z"));
    }

    [Theory]
    [InlineData("log")]
    [InlineData("segments")]
    public void TheLogsAreThereAgainWhenTheyAreOpenedAgain(string step)
    {
        Dictionary<string, string> model;
        using (ITutorialStore store = Open(step))
            model = Fill(store, keys: 5_000, writes: 150_000);
        using ITutorialStore again = Open(step);
        foreach ((string key, string value) in model)
            Assert.Equal(value, again.Get(key));
    }

    /// <summary>The charts of the page are those of the figures that lie beside them.</summary>
    [Fact]
    public void TheChartsShowWhatWasMeasured()
    {
        string charts = Path.Combine(Path.GetDirectoryName(SourcePath())!, "../../docs/tutorial");
        ChartList.Draw(Path.Combine(charts, "measured.csv"), _folder);
        string[] drawn = [.. Directory.GetFiles(_folder).Select(f => Path.GetFileName(f)).Order(StringComparer.Ordinal)];
        Assert.Equal(5, drawn.Length);
        foreach (string name in drawn)
            Assert.Equal(File.ReadAllText(Path.Combine(charts, name)), File.ReadAllText(Path.Combine(_folder, name)));
    }

    private static string SourcePath([CallerFilePath] string path = "") => path;

    private ITutorialStore Open(string step) => step switch
    {
        "log" => new HashIndexedLog(_folder),
        "segments" => new SegmentedLog(_folder),
        "sorted" => new SortedSegments(_folder),
        _ => new CopyOnWriteTree(_folder),
    };

    private static Dictionary<string, string> Fill(ITutorialStore store, int keys, int writes)
    {
        var random = new Random(7);
        Dictionary<string, string> model = new(StringComparer.Ordinal);
        for (int i = 0; i < writes; i++)
        {
            string key = string.Create(CultureInfo.InvariantCulture, $"key-{random.Next(keys)}");
            string value = new((char)('a' + (i % 26)), random.Next(90));
            store.Set(key, value);
            model[key] = value;
        }

        return model;
    }
}
