using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Kvasir.Primitives;
using Kvasir.Storage.Files;
using Kvasir.Storage.Machine;

namespace Kvasir.Cli.Bench.Clusters;

/// <summary>
/// What this machine's disk and loopback carry, in one stream each, at the moment of asking: beside whatever else runs. MiB a second.
/// </summary>
/// <param name="DiskAtOnce">A large file that is synced once, at its end.</param>
/// <param name="DiskByPieces">
/// A file whose room was written before, as a journal's is: piece by piece, and each is on the disk before the next begins. No one who
/// must have everything on the disk before it says that it has it can go faster with such pieces.
/// </param>
/// <param name="Loopback">One connection of TCP.</param>
internal sealed record MachineSpeed(double DiskAtOnce, double DiskByPieces, double Loopback)
{
    private const long Bytes = 256L << 20;
    private const int Block = 1 << 20;

    public static MachineSpeed Measure(string folder)
    {
        var files = new PosixFileSystem();
        string path = Path.Combine(folder, "probe");
        byte[] block = new byte[Block];
        new SeededRandom(2).NextBytes(block);
        double atOnce, byPieces;
        using (IFile file = files.Open(path, FileOpenMode.CreateNew))
        {
            atOnce = Rate(() =>
            {
                for (long at = 0; at < Bytes; at += Block)
                    file.Write(block, at);
                file.Sync(SyncMode.Full);
            });
            byPieces = Rate(() =>
            {
                for (long at = 0; at < Bytes; at += Block)
                {
                    file.Write(block, at);
                    file.Sync(SyncMode.Data);
                }
            });
        }

        files.Delete(path);
        return new MachineSpeed(atOnce, byPieces, Rate(SendToMyself));
    }

    private static double Rate(Action moves)
    {
        long began = Stopwatch.GetTimestamp();
        moves();
        return Bytes / (1024.0 * 1024) / Stopwatch.GetElapsedTime(began).TotalSeconds;
    }

    private static void SendToMyself()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var sender = new TcpClient();
        sender.Connect((IPEndPoint)listener.LocalEndpoint);
        using TcpClient receiver = listener.AcceptTcpClient();
        var sending = new Thread(() =>
        {
            byte[] block = new byte[Block];
            for (long at = 0; at < Bytes; at += block.Length)
                sender.Client.Send(block);
        });
        sending.Start();
        byte[] buffer = new byte[Block];
        for (long left = Bytes; left > 0;)
            left -= receiver.Client.Receive(buffer);
        sending.Join();
    }
}
