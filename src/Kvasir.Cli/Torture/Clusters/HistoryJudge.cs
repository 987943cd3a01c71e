using System.Collections.Concurrent;
using Kvasir.Cli.Shell;
using Kvasir.Simulation.Checkers;
using Kvasir.Simulation.Histories;

namespace Kvasir.Cli.Torture.Clusters;

/// <summary>
/// Judges a history part by part on a thread of its own. Before it judges a part it reads each of its keys once more, as one
/// of the clients; and at the end once again those whose every outcome is known: they must be as they were then, however
/// many nodes have died since.
/// </summary>
internal sealed class HistoryJudge : IDisposable
{
    private readonly HistoryClient _reader;
    private readonly Func<string, KeyKind> _kindOf;
    private readonly AvailabilityMeter _meter;
    private readonly HistoryFormat _format;
    private readonly TimeSpan _patience;
    private readonly BlockingCollection<IReadOnlyList<HistoryRecorder>> _waiting = [];
    private readonly Dictionary<string, string?> _left = new(StringComparer.Ordinal);
    private readonly Thread _thread;
    private TextWriter? _file;
    private Exception? _defect;
    private volatile bool _readsNoMore;

    /// <param name="reader">One more client, for reading what the others left.</param>
    /// <param name="kindOf">What a key is.</param>
    /// <param name="meter">Hears all events, in order.</param>
    /// <param name="file">Where the history is written; null for nowhere.</param>
    /// <param name="format">How it is written.</param>
    /// <param name="patience">How long one key may be unreadable; after that it and the rest of its part are left unread.</param>
    public HistoryJudge(HistoryClient reader, Func<string, KeyKind> kindOf, AvailabilityMeter meter, TextWriter? file, HistoryFormat format, TimeSpan patience)
    {
        _reader = reader;
        _kindOf = kindOf;
        _meter = meter;
        _file = file;
        _format = format;
        _patience = patience;
        _thread = new Thread(Run) { IsBackground = true, Name = "judge", Priority = ThreadPriority.BelowNormal };
        _thread.Start();
    }

    public long Operations { get; private set; }

    public long Answered { get; private set; }

    /// <summary>Definite refusals.</summary>
    public long Failed { get; private set; }

    public long InDoubt { get; private set; }

    public int Keys { get; private set; }

    /// <summary>Keys that were compared again at the end.</summary>
    public int KeysReadAgain { get; private set; }

    public Verdict Verdict { get; private set; } = Verdict.Valid;

    /// <summary>Of the first key that cannot be; or why there is no verdict.</summary>
    public string? Explanation { get; private set; }

    /// <summary>What it could not do, the first of it: a part that is not judged, or a history that is not written. The rest it does. Null: nothing.</summary>
    public Exception? Defect => Volatile.Read(ref _defect);

    /// <summary>The cluster is gone, or will be: what is recorded is judged, and nobody is asked any more.</summary>
    public void ReadNoMore() => _readsNoMore = true;

    /// <summary>What was recorded in one part, by all clients.</summary>
    public void Take(IReadOnlyList<HistoryRecorder> part) => _waiting.Add(part);

    /// <summary>Back when all parts are judged.</summary>
    public void Finish()
    {
        _waiting.CompleteAdding();
        _thread.Join();
    }

    /// <summary>After all: reads what was left in old keys, which nobody has touched since.</summary>
    public void ReadAgain()
    {
        foreach ((string key, string? left) in _left.OrderBy(k => k.Key, StringComparer.Ordinal))
        {
            if (ReadInTime(key) is not { } reply)
            {
                Unknown($"{key} could not be read at the end");
                return;
            }

            KeysReadAgain++;
            string? now = TextOf(reply);
            if (!string.Equals(now, left, StringComparison.Ordinal))
                Invalid($"{key} was left as {left ?? "nothing"} and is {now ?? "nothing"} now, though nobody wrote to it");
        }
    }

    public void Dispose()
    {
        _waiting.Dispose();
        _reader.Dispose();
    }

    private void Run()
    {
        foreach (IReadOnlyList<HistoryRecorder> part in _waiting.GetConsumingEnumerable())
        {
            try
            {
                Judge(part);
            }
            catch (Exception e)
            {
                Miss(new InvalidOperationException("the judge failed: " + e.Message, e));
                Unknown($"a part of what clients saw is not judged: {e.Message}");

                // What was read of this part is nothing for the next.
                _reader.Leave();
                _reader.Hand();
            }
        }
    }

    private void Judge(IReadOnlyList<HistoryRecorder> part)
    {
        string[] keys = [.. part.SelectMany(r => r.Events).Select(e => e.Key).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        Dictionary<string, string?> read = new(StringComparer.Ordinal);
        foreach (string key in keys)
        {
            if (ReadInTime(key) is not { } reply)
                break;
            read[key] = TextOf(reply);
        }

        List<HistoryEvent> events = HistoryRecorder.Merge([.. part, _reader.Hand()]);
        Write(events);
        Count(events);
        _meter.Take(events);
        CheckReport report = LinearizabilityChecker.Check(events, key => _kindOf(key) == KeyKind.Counter ? KeyModel.Counter() : KeyModel.Plain());
        Keys += report.Keys.Count;
        foreach (KeyVerdict key in report.Keys)
        {
            if (key.Verdict == Verdict.Invalid)
                Invalid($"{key.Key}: {key.Explanation}");
            else if (key.Verdict == Verdict.Unknown)
                Unknown($"{key.Key}: {key.Bound}, after {key.Operations} operations, {key.Uncertain} in doubt");
            else if (key.Uncertain == 0 && read.TryGetValue(key.Key, out string? left))
                _left[key.Key] = left;
        }
    }

    private void Write(List<HistoryEvent> events)
    {
        if (_file is null)
            return;
        try
        {
            HistoryFiles.Write(_file, _format, events);
            _file.Flush();
        }
        catch (IOException e)
        {
            // Half of a part is on the disk: what came behind it would be no history.
            _file = null;
            Miss(new IOException("the history cannot be written: " + e.Message, e));
        }
    }

    private void Count(List<HistoryEvent> events)
    {
        foreach (HistoryEvent e in events)
        {
            switch (e.Kind)
            {
                case EventKind.Invoke: Operations++; break;
                case EventKind.Ok: Answered++; break;
                case EventKind.Fail: Failed++; break;
                default: InDoubt++; break;
            }
        }
    }

    private RespReply? ReadInTime(string key)
    {
        long end = Environment.TickCount64 + (long)_patience.TotalMilliseconds;
        return _reader.ReadPatiently(_kindOf(key), key, () => !_readsNoMore && Environment.TickCount64 < end);
    }

    private static string? TextOf(RespReply reply) => reply.Kind == Wire.Resp.RespReplyKind.Null ? null : reply.Text;

    private void Miss(Exception defect) => Interlocked.CompareExchange(ref _defect, defect, comparand: null);

    private void Invalid(string why)
    {
        if (Verdict != Verdict.Invalid)
            Explanation = why;
        Verdict = Verdict.Invalid;
    }

    private void Unknown(string why)
    {
        if (Verdict == Verdict.Valid)
            (Verdict, Explanation) = (Verdict.Unknown, why);
    }
}
