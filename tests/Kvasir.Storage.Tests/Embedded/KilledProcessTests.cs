using System.Diagnostics;
using System.Globalization;
using Kvasir.Storage.Embedded;

namespace Kvasir.Storage.Tests.Embedded;

/// <summary>A program that embeds a store is killed in the middle of its writes: nothing that it was told is durable may be missing.</summary>
public sealed class KilledProcessTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("lsm")]
    [InlineData("btree")]
    [InlineData("log")]
    public void NothingAcknowledgedIsLost(string engine)
    {
        var acknowledged = new Dictionary<int, int>();
        foreach (int writes in (int[])[150, 1500, 600])
        {
            using Process child = ChildProcess.Start(tracer: null, "embedded", engine, _folder);
            for (int i = 0; i < writes; i++)
            {
                string? line = child.StandardOutput.ReadLine();
                Assert.True(line is not null, "the child ended by itself: " + (line is null ? child.StandardError.ReadToEnd() : ""));
                Note(acknowledged, line!);
            }

            child.Kill();

            // What it still got out before it died was acknowledged, too; its last line may be torn.
            string[] rest = child.StandardOutput.ReadToEnd().Split('\n');
            foreach (string line in rest[..^1])
                Note(acknowledged, line!);
            child.WaitForExit();

            using KeyValueStore store = EmbeddedChild.Open(engine, _folder);
            foreach ((int thread, int last) in acknowledged)
            {
                for (int i = 0; i <= last; i++)
                    Assert.Equal(EmbeddedChild.Value(thread, i), store.GetString(EmbeddedChild.Key(thread, i)));
            }
        }

        static void Note(Dictionary<int, int> acknowledged, string line)
        {
            string[] parts = line.Split(' ');
            acknowledged[int.Parse(parts[0], CultureInfo.InvariantCulture)] = int.Parse(parts[1], CultureInfo.InvariantCulture);
        }
    }
}
