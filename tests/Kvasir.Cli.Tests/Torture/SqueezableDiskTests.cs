using Kvasir.Cli.Tests.Processes;
using Kvasir.Cli.Torture.Clusters;

namespace Kvasir.Cli.Tests.Torture;

public sealed class SqueezableDiskTests
{
    [NeedsSmallDiskFact]
    public async Task IsSqueezedWhileSomebodyWritesToIt()
    {
        string folder = Path.Combine(Path.GetTempPath(), "kvasir-test-" + Path.GetRandomFileName());
        try
        {
            using SqueezableDisk disk = SqueezableDisk.TryMount(folder)!;
            string file = Path.Combine(disk.Outside, "written");
            var writes = new TaskCompletionSource();
            Task<long> writer = Task.Run(() => WriteUntilFull(file, writes));
            await writes.Task;
            disk.Squeeze();

            // There is an end to the room now, long before what there was at first.
            Assert.InRange(await writer, 1, 768L << 20);
            disk.Widen();
            await File.AppendAllTextAsync(file, "there is room again");
        }
        finally
        {
            Directory.Delete(folder);
        }
    }

    private static long WriteUntilFull(string file, TaskCompletionSource writes)
    {
        byte[] part = new byte[512];
        using var stream = new FileStream(file, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);
        try
        {
            for (; ; )
            {
                stream.Write(part);
                writes.TrySetResult();
            }
        }
        catch (IOException)
        {
            return stream.Length;
        }
    }
}
