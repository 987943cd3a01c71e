using System.Buffers;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Text;
using Kvasir.Server.Tests.Commands;
using Kvasir.Server.Tests.Forwarding;
using Kvasir.Server.Transport;
using Microsoft.AspNetCore.Connections;

namespace Kvasir.Server.Tests.Transport;

public sealed class KestrelConnectionTests
{
    /// <summary>
    /// The log wakes connections from the thread that commits. A connection that went on there would wait for a commit
    /// under it: the event loop, and every client with it, stood still for ever.
    /// </summary>
    [Fact]
    public async Task WhoWakesAConnectionDoesNotRunIt()
    {
        using var world = new CommandWorld();
        var incoming = new Pipe(new PipeOptions(readerScheduler: PipeScheduler.Inline, useSynchronizationContext: false));
        var outgoing = new Pipe();
        var reader = new WatchedReader(incoming.Reader);
        await using var context = new DefaultConnectionContext("1", new Ends(reader, outgoing.Writer), new Ends(outgoing.Reader, incoming.Writer));
        var connection = new KestrelConnection(world.Server, context, "here", "there");
        Task served = connection.Serve();

        int waker = 0;
        var thread = new Thread(() =>
        {
            waker = Environment.CurrentManagedThreadId;
            connection.Wake(connection.Session);
            reader.ReadAgain.Wait();
        });
        thread.Start();
        thread.Join();

        Assert.DoesNotContain(waker, reader.Readers);
        await incoming.Writer.CompleteAsync();
        await served;
    }

    [Fact]
    public async Task WhoStopsAnswersWhatHadComeBeforeItCloses()
    {
        ClusterInMemory cluster = new(nodes: 1);
        GroupInMemory slow = cluster.GroupOf("k");
        slow.CommitsAtOnce = false;
        Pipe incoming = new();
        Pipe outgoing = new();
        await using DefaultConnectionContext context = new("1", new Ends(incoming.Reader, outgoing.Writer), new Ends(outgoing.Reader, incoming.Writer));
        using KestrelRespHandler handler = new(cluster.Nodes[0].Server, clientsShowCertificates: false);
        Task served = handler.OnConnectedAsync(context);
        await incoming.Writer.WriteAsync("PING\r\nINCR k\r\n"u8.ToArray());
        Assert.Equal("+PONG\r\n", await Read(outgoing.Reader, 7));

        Task finished = handler.Finish();
        Assert.False(finished.IsCompleted);
        Assert.True(slow.TryCommit());
        handler.LogMoved();

        Assert.Equal(":1\r\n", await Read(outgoing.Reader, 4));
        await finished;
        await served;
    }

    private static async Task<string> Read(PipeReader reader, int bytes)
    {
        ReadResult read = await reader.ReadAtLeastAsync(bytes);
        string text = Encoding.ASCII.GetString(read.Buffer.ToArray());
        reader.AdvanceTo(read.Buffer.End);
        return text;
    }

    private sealed record Ends(PipeReader Input, PipeWriter Output) : IDuplexPipe;

    /// <summary>Notes who reads.</summary>
    private sealed class WatchedReader(PipeReader inner) : PipeReader
    {
        private int _reads;

        public ConcurrentQueue<int> Readers { get; } = new();

        /// <summary>Set once the reader has come back after the first read.</summary>
        public ManualResetEventSlim ReadAgain { get; } = new();

        public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
        {
            Readers.Enqueue(Environment.CurrentManagedThreadId);
            if (Interlocked.Increment(ref _reads) == 2)
                ReadAgain.Set();
            return inner.ReadAsync(cancellationToken);
        }

        public override void AdvanceTo(SequencePosition consumed) => inner.AdvanceTo(consumed);

        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) => inner.AdvanceTo(consumed, examined);

        public override void CancelPendingRead() => inner.CancelPendingRead();

        public override void Complete(Exception? exception = null) => inner.Complete(exception);

        public override bool TryRead(out ReadResult result) => inner.TryRead(out result);
    }
}
