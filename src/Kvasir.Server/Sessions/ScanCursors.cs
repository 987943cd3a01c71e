namespace Kvasir.Server.Sessions;

/// <summary>
/// The numbers that SCAN hands out, each standing for the key where the walk goes on. A number is good for any database
/// and any count of uses until as many later ones have been given as the table has places; a number that is not known
/// (or of an earlier life of the server, or of a walk in another order than that of the keyspace's engine now) starts the walk
/// again, which repeats keys but misses none. Used in the mailbox.
/// </summary>
internal sealed class ScanCursors
{
    public const int Places = 16 * 1024;

    private readonly CursorPlace[] _places = new CursorPlace[Places];
    private ulong _next;

    /// <param name="firstCursor">
    /// Where numbers begin. Random for each life of a server, so that a number of an earlier life means nothing in this one;
    /// below 2^52, so that clients which keep cursors as doubles do not spoil them.
    /// </param>
    public ScanCursors(ulong firstCursor) => _next = Math.Max(firstCursor & ((1UL << 52) - 1), 1);

    /// <param name="resumeKey">Where the walk goes on.</param>
    /// <param name="isOrdered">The walk is in the order of the keys' bytes.</param>
    public ulong Add(ReadOnlySpan<byte> resumeKey, bool isOrdered)
    {
        ulong cursor = _next++;
        ref CursorPlace place = ref _places[cursor % Places];
        place.Cursor = cursor;
        place.IsOrdered = isOrdered;
        // A place keeps its array for the next key, unless that was an unusually long one.
        if (place.Key is null || place.Key.Length < resumeKey.Length || (place.Key.Length > 256 && resumeKey.Length <= 256))
            place.Key = new byte[Math.Max(resumeKey.Length, 32)];
        resumeKey.CopyTo(place.Key);
        place.Length = resumeKey.Length;
        return cursor;
    }

    public bool TryGetResumeKey(ulong cursor, bool isOrdered, out ReadOnlySpan<byte> resumeKey)
    {
        ref CursorPlace place = ref _places[cursor % Places];
        bool known = place.Cursor == cursor && place.IsOrdered == isOrdered && place.Key is not null;
        resumeKey = known ? place.Key.AsSpan(0, place.Length) : default;
        return known;
    }

    private struct CursorPlace
    {
        public ulong Cursor;
        public byte[]? Key;
        public int Length;
        public bool IsOrdered;
    }
}
