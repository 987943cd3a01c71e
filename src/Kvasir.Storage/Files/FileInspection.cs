namespace Kvasir.Storage.Files;

/// <summary>One part of a file, told for a person or a script.</summary>
/// <param name="Offset">Where the part starts.</param>
/// <param name="Length">Bytes of it in the file.</param>
/// <param name="Kind">What it is: header, data block, edit ...</param>
/// <param name="Fields">What it holds, in the order to be shown.</param>
public sealed record InspectedPart(long Offset, long Length, string Kind, IReadOnlyList<KeyValuePair<string, string>> Fields);

/// <summary>Something in a file is not as it must be. Immutable; any thread.</summary>
/// <param name="Path">The file, which may be missing.</param>
/// <param name="Offset">Where the damaged unit starts.</param>
/// <param name="Detail">What is wrong with it.</param>
public sealed record DamageFinding(string Path, long Offset, string Detail)
{
    internal static DamageFinding Of(StorageException failure, string path) => failure is CorruptionException { Path: not null } damage
        ? new DamageFinding(damage.Path, damage.Offset, damage.Message)
        : new DamageFinding(path, 0, failure.Message);
}
