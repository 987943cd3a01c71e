namespace Kvasir.Cluster.Partitioning;

/// <summary>The part of a key that decides where it lies: keys with the same tag, as in <c>{user1}.name</c>, lie together.</summary>
public static class HashTag
{
    /// <summary>
    /// What is between the first opening brace and the first closing brace behind it; the whole key when there is nothing.
    /// </summary>
    public static ReadOnlySpan<byte> Of(ReadOnlySpan<byte> key)
    {
        int open = key.IndexOf((byte)'{');
        if (open < 0)
            return key;
        int length = key[(open + 1)..].IndexOf((byte)'}');
        return length <= 0 ? key : key.Slice(open + 1, length);
    }
}
