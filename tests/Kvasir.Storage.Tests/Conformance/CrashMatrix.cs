using Kvasir.Primitives;
using Kvasir.Simulation.Disks;
using Xunit.Sdk;

namespace Kvasir.Storage.Tests.Conformance;

internal readonly record struct CrashPoint(long Number, CrashKind Kind);

/// <summary>
/// Before every change of a disk it hands the disk that a crash there would leave to whoever judges it: of a simulated one with each
/// kind of loss in turn, of a real one now and then a copy of all files, as a process that was killed leaves them.
/// </summary>
internal sealed class CrashMatrix : IDisposable
{
    // Copies of real files take long.
    private const int ChangesPerCopy = 11;

    private readonly TestDisk _disk;
    private readonly ulong _seed;
    private readonly Action<TestDisk, CrashPoint> _judge;
    private long _changes;
    private bool _isJudging;

    public CrashMatrix(TestDisk disk, ulong seed, Action<TestDisk, CrashPoint> judge)
    {
        (_disk, _seed, _judge) = (disk, seed, judge);
        disk.Files.BeforeChange = (kind, path) => Crash($"{kind} of {path}");
    }

    public long Points { get; private set; }

    public void Dispose() => _disk.Files.BeforeChange = null;

    private void Crash(string before)
    {
        _changes++;
        if (_isJudging || (_disk.Simulated is null && _changes % ChangesPerCopy != 0))
            return;
        _isJudging = true;
        Points++;
        CrashKind kind = _disk.Simulated is null ? CrashKind.ProcessKill : (CrashKind)((_changes + (long)_seed) % 5);
        using TestDisk left = _disk.Simulated is { } simulated
            ? new TestDisk(simulated.AfterCrash(new SeededRandom((_seed << 32) + (ulong)_changes), kind))
            : _disk.Copy();
        try
        {
            _judge(left, new CrashPoint(_changes, kind));
        }
        catch (Exception exception)
        {
            throw new XunitException($"seed {_seed}, {kind} at change {_changes}, before {before}: {exception}", exception);
        }

        _isJudging = false;
    }
}
