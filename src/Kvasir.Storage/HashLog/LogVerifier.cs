using System.Runtime.InteropServices;
using Kvasir.Primitives;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;
using Kvasir.Storage.HashLog.Manifest;
using Kvasir.Storage.HashLog.Segments;
using Kvasir.Storage.HashLog.Tail;

namespace Kvasir.Storage.HashLog;

/// <summary>
/// Checks everything that lies in the folder of a hash log: the manifest, and every record of every segment that it names, with its
/// hint file. Reads only; the engine should not be open.
/// </summary>
public static class LogVerifier
{
    /// <summary>Whether a hash log lies, or lay, in the folder.</summary>
    public static bool Knows(IFileSystem files, string folder) =>
        files.FileExists(LogFiles.Join(folder, LogFiles.ManifestName)) || files.ListFiles(folder).Any(n => LogFiles.TryParseSegment(n, out _));

    /// <summary>
    /// All damage found; empty when all is well. <paramref name="progress"/> hears of each file that was checked, with its bytes. Without
    /// <paramref name="mustExist"/> the folder may be one whose first opening was not completed. A folder that says that it is another's
    /// than <paramref name="owner"/>'s is damage, too. What
    /// is found of a file is in <paramref name="findings"/> when <paramref name="progress"/> hears of it.
    /// </summary>
    public static IReadOnlyList<DamageFinding> Verify(
        IFileSystem files, string folder, Action<string, long>? progress = null, bool mustExist = true, EngineOwner owner = default,
        List<DamageFinding>? findings = null)
    {
        findings ??= [];
        string manifest = LogFiles.Join(folder, LogFiles.ManifestName);
        LogState state;
        try
        {
            if (!files.FileExists(manifest))
            {
                ManifestStore.RefuseUnlessNew(folder, files.ListFiles(folder));
                if (mustExist)
                    findings.Add(new DamageFinding(manifest, 0, $"{manifest} is missing"));
                return findings;
            }

            state = ManifestStore.Load(files, folder);
            if (ManifestStore.FindOtherOwner(folder, state, owner) is { } stranger)
                findings.Add(stranger);
            progress?.Invoke(manifest, files.FileLength(manifest));
        }
        catch (StorageException e)
        {
            findings.Add(DamageFinding.Of(e, manifest));
            return findings;
        }

        foreach (SegmentFacts segment in state.Segments)
            VerifySegment(files, folder, state.Identity, segment, findings, progress);
        return findings;
    }

    /// <summary>Up to where the files hold the log, as the manifest says; zero where it cannot be read.</summary>
    public static LogPosition FlushedPosition(IFileSystem files, string folder)
    {
        try
        {
            return ManifestStore.Load(files, folder).FlushedPosition;
        }
        catch (StorageException)
        {
            return LogPosition.Zero;
        }
    }

    private static void VerifySegment(
        IFileSystem files, string folder, ulong identity, SegmentFacts facts, List<DamageFinding> findings, Action<string, long>? progress)
    {
        string path = LogFiles.SegmentPath(folder, facts.Number);
        List<HintEntry> entries = [];
        try
        {
            using SegmentFile segment = SegmentFile.Open(files, new SegmentHandles(files, openMax: 1), folder, identity, facts);
            entries = LoadedSegments.EntriesOf(segment, identity);
            progress?.Invoke(path, facts.Bytes);
        }
        catch (StorageException e)
        {
            findings.Add(e is FileMissingException ? new DamageFinding(path, 0, $"{path} is missing") : DamageFinding.Of(e, path));
            return;
        }

        string hint = LogFiles.HintPath(folder, facts.Number);
        try
        {
            if (!files.FileExists(hint))
                return;
            HintEntry[] hints = HintFile.Read(files, folder, identity, facts);
            progress?.Invoke(hint, files.FileLength(hint));
            TokenSort.Sort(CollectionsMarshal.AsSpan(entries));
            if (!entries.SequenceEqual(hints))
                findings.Add(new DamageFinding(hint, 0, $"{hint} says other than its segment; without it a start makes it anew"));
        }
        catch (StorageException e)
        {
            findings.Add(DamageFinding.Of(e, hint));
        }
    }
}
