using System.Runtime.InteropServices;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.HashLog.Index;
using Kvasir.Storage.HashLog.Readers;
using Kvasir.Storage.HashLog.Segments;

namespace Kvasir.Storage.HashLog;

/// <summary>
/// A walk by token over a view that is kept. Holds nothing of the index between two moves: of some regions it remembers the tokens, and
/// looks each up again when it comes to it. What lies on the disk it reads before it comes to it, many keys at a time.
/// </summary>
internal sealed class LogScan : EngineScan
{
    // A scan that is asked for ten keys, as most are, shall not pay for more.
    private const int ReadAloneFirst = 16;

    // Of memory for tokens, so many scans as there may be.
    private const int TokensMax = 16 << 10;

    private readonly HashLogEngine _engine;
    private readonly SnapshotRegister _register;
    private readonly ulong _sequence;
    private readonly long _nowMs;
    private readonly bool _keysOnly;
    private readonly byte[] _lower;
    private readonly byte[] _upper;
    private readonly List<IndexEntry> _tokens = [];
    private readonly List<IndexEntry> _region = [];
    private readonly ScanRows _rows = new();
    private readonly ScanAhead _ahead = new();
    private int _nextToken;
    private int _aheadEnd;
    private int _readAlone;
    private int _row = -1;
    private ulong? _nextRegion;

    public LogScan(HashLogEngine engine, SnapshotRegister register, ulong sequence, in IteratorOptions options, long nowMs)
    {
        (_engine, _register, _sequence, _nowMs, _keysOnly) = (engine, register, sequence, nowMs, options.KeysOnly);
        (_lower, _upper) = (options.LowerBound.ToArray(), options.UpperBound.ToArray());
    }

    public override bool Valid => _row >= 0 && !IsDisposed;

    public override ReadOnlySpan<byte> Key => Current.Key.WrittenSpan;

    public override ReadOnlySpan<byte> Value => Current.Value.WrittenSpan;

    public override long ExpiresAtMs => Current.ExpiresAtMs;

    public override SequenceNumber Sequence => new(Current.Sequence);

    private ScanRow Current
    {
        get
        {
            Check.That(Valid, "the scan stands on no key");
            return _rows[_row];
        }
    }

    public override void SeekToFirst()
    {
        if (_lower.Length > 0)
            MoveTo(_lower);
        else
            MoveTo(default, 0);
    }

    public override void Seek(ReadOnlySpan<byte> key)
    {
        if (_lower.Length > 0 && TokenOrder.Compare(key, _lower) < 0)
            key = _lower;
        MoveTo(key);
    }

    public override void Next()
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        Check.That(Valid, "the scan stands on no key");
        _row++;
        Settle();
    }

    protected override void Dispose(bool disposing)
    {
        _ahead.Dispose();
        _register.Remove(_sequence);
    }

    private void MoveTo(ReadOnlySpan<byte> key) => MoveTo(key, StableHash.Hash64(key));

    private void MoveTo(ReadOnlySpan<byte> key, ulong token)
    {
        ObjectDisposedException.ThrowIf(IsDisposed, this);
        _rows.Clear();
        _row = 0;
        _ahead.Restart();
        _readAlone = 0;
        ReadTokens(token);

        // Of the very token the keys before this one are not wanted.
        if (_nextToken < _tokens.Count && _tokens[_nextToken].Token == token)
        {
            ReadRowsOfNextToken();
            while (_row < _rows.Count && _rows[_row].Key.WrittenSpan.SequenceCompareTo(key) < 0)
                _row++;
        }

        Settle();
    }

    /// <summary>To the row at or behind the place, in whatever token it is.</summary>
    private void Settle()
    {
        while (_row >= _rows.Count)
        {
            _row = 0;
            _rows.Clear();
            if (_nextToken < _tokens.Count)
            {
                ReadRowsOfNextToken();
                continue;
            }

            if (_nextRegion is not { } region)
            {
                _row = -1;
                return;
            }

            ReadTokens(region);
        }

        if (_upper.Length > 0 && TokenOrder.Compare(_rows[_row].Key.WrittenSpan, _upper) >= 0)
        {
            _rows.Clear();
            _tokens.Clear();
            _nextToken = 0;
            _nextRegion = null;
            _row = -1;
        }
    }

    /// <summary>Of the region that a token lies in from that token on, and of as many behind it as are read ahead together.</summary>
    private void ReadTokens(ulong from)
    {
        _tokens.Clear();
        (_nextToken, _aheadEnd, _nextRegion) = (0, 0, null);
        long bytes = 0;
        ulong? next = from;
        while (next is { } at && bytes < _ahead.WantedBytes && _tokens.Count < TokensMax)
        {
            List<IndexEntry> region = _tokens.Count == 0 ? _tokens : _region;
            next = _engine.ReadTokens(at, region);

            // A region may have been split since its end was told.
            int first = 0;
            while (first < region.Count && region[first].Token < at)
                first++;
            if (region == _tokens)
                _nextToken = first;
            else
                _tokens.AddRange(CollectionsMarshal.AsSpan(region)[first..]);
            foreach (IndexEntry entry in CollectionsMarshal.AsSpan(region)[first..])
                bytes += Location.IsMemory(entry.Location) ? 0 : Location.Length(entry.Location);
        }

        _nextRegion = next;
    }

    private void ReadRowsOfNextToken()
    {
        if (_nextToken >= _aheadEnd && _readAlone++ >= ReadAloneFirst)
            _aheadEnd = _engine.ReadAhead(_ahead, _tokens, _nextToken);
        ulong token = _tokens[_nextToken].Token;
        while (_nextToken < _tokens.Count && _tokens[_nextToken].Token == token)
            _nextToken++;
        _rows.Clear();
        _engine.ReadRows(token, _sequence, _nowMs, _keysOnly, _ahead, _rows);
        _rows.Sort();
    }
}

/// <summary>The keys of one token; reused from one to the next.</summary>
internal sealed class ScanRows
{
    private readonly List<ScanRow> _rows = [];

    public int Count { get; private set; }

    public ScanRow this[int index] => _rows[index];

    public void Clear() => Count = 0;

    public void Add(in SegmentRecord record, bool keysOnly)
    {
        if (Count == _rows.Count)
            _rows.Add(new ScanRow());
        ScanRow row = _rows[Count++];
        row.Key.Clear();
        row.Key.Append(record.Key);
        row.Value.ClearAndTrim(1 << 20);
        if (!keysOnly)
            row.Value.Append(record.Value);
        row.ExpiresAtMs = record.ExpiresAtMs;
        row.Sequence = record.Sequence;
    }

    public void Sort()
    {
        if (Count > 1)
            _rows.Sort(0, Count, Comparer<ScanRow>.Create(static (x, y) => x.Key.WrittenSpan.SequenceCompareTo(y.Key.WrittenSpan)));
    }
}

internal sealed class ScanRow
{
    public BytesBuffer Key { get; } = new(32);

    public BytesBuffer Value { get; } = new(128);

    public long ExpiresAtMs { get; set; }

    public ulong Sequence { get; set; }
}
