using System.Diagnostics;
using System.Net.Sockets;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Shell;
using Kvasir.Cli.Torture.Clusters;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>Counters that several clients count on: how often surely, and how often perhaps.</summary>
internal sealed class AcknowledgedCounters(string[] keys)
{
    private readonly long[] _acknowledged = new long[keys.Length];
    private readonly long[] _inDoubt = new long[keys.Length];

    /// <summary>Of each key: its counter is no less.</summary>
    public long[] Acknowledged => [.. keys.Select((_, i) => Interlocked.Read(ref _acknowledged[i]))];

    /// <summary>Of each key: when nobody counts any more its counter is no more than what was acknowledged and these.</summary>
    public long[] InDoubt => [.. keys.Select((_, i) => Interlocked.Read(ref _inDoubt[i]))];

    public Client ClientOf(HostPort address) => new(this, keys, address);

    /// <summary>Asks one node, and writes down what it is told. Not for several threads.</summary>
    internal sealed class Client(AcknowledgedCounters counters, string[] keys, HostPort address) : IDisposable
    {
        private RespConnection? _connection;

        /// <summary>Each key once.</summary>
        public void CountOn()
        {
            for (int i = 0; i < keys.Length; i++)
            {
                switch (Increment(keys[i]))
                {
                    case null:
                        Interlocked.Increment(ref counters._acknowledged[i]);
                        break;
                    case ErrorMeaning.Indeterminate:
                        Interlocked.Increment(ref counters._inDoubt[i]);
                        break;
                }
            }
        }

        /// <summary>Each key until so many more are acknowledged, by whomever.</summary>
        public void CountOn(int more)
        {
            long[] before = counters.Acknowledged;
            Stopwatch waited = Stopwatch.StartNew();
            while (counters.Acknowledged.Zip(before).Any(c => c.First < c.Second + more))
            {
                Assert.True(waited.Elapsed < Tools.Patience, $"in vain: {more} more than {string.Join(' ', before)}; it is {string.Join(' ', counters.Acknowledged)}");
                CountOn();
            }
        }

        public void Dispose() => _connection?.Dispose();

        /// <summary>Null: it is acknowledged.</summary>
        private ErrorMeaning? Increment(string key)
        {
            RespReply reply;
            try
            {
                if (_connection is null)
                {
                    _connection = RespConnection.Open(address);
                    _connection.Socket.ReceiveTimeout = (int)Tools.Patience.TotalMilliseconds;
                }

                reply = _connection.Call("INCR", key);
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                _connection?.Dispose();
                _connection = null;
                return ErrorMeaning.Indeterminate;
            }

            if (reply.Kind != RespReplyKind.Error)
                return null;
            ErrorMeaning meaning = ErrorWords.MeaningOf(reply.Text);
            Assert.True(meaning != ErrorMeaning.Unexpected, $"INCR was answered {reply.Text}");
            return meaning;
        }
    }
}
