using System.Collections.Concurrent;
using System.IO.Pipelines;
using Kvasir.Server.Tests.Commands;
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
