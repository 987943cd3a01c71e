using System.Globalization;

namespace Kvasir.Cli.Torture.Clusters;

/// <summary>What a key is to the clients, which decides what they do to it and how it is judged.</summary>
internal enum KeyKind
{
    Register,
    Counter,
    List,
}

/// <summary>
/// A place that many keys follow each other in, all with one hash tag and so in one shard. A key is left for the next one
/// after some operations: the search for an order of them stays short, and keys that nobody writes to any more show
/// whether what is old stays.
/// </summary>
internal sealed class TortureLane(int number, KeyKind kind, int operationsPerKey, string keyspace = TorturedKeyspaces.First)
{
    private long _operations;

    public KeyKind Kind => kind;

    /// <summary>Where its keys are.</summary>
    public string Keyspace => keyspace;

    /// <summary>In braces: what the slot is made of.</summary>
    public string Tag { get; } = string.Create(CultureInfo.InvariantCulture, $"{{lane{number}}}");

    /// <summary>The key that is in use now; counts one operation on it.</summary>
    public string Next(int epoch) =>
        string.Create(CultureInfo.InvariantCulture, $"{Tag}:{epoch}:{(Interlocked.Increment(ref _operations) - 1) / operationsPerKey}");

    /// <summary>The tag of a key of any lane.</summary>
    public static string TagOf(string key) => key[..(key.IndexOf('}', StringComparison.Ordinal) + 1)];

    /// <summary>Registers, counters and lists in turn, and some of each in every keyspace.</summary>
    public static TortureLane[] Make(int count, int operationsPerKey, params ReadOnlySpan<string> keyspaces)
    {
        var lanes = new TortureLane[count];
        for (int i = 0; i < count; i++)
        {
            string keyspace = keyspaces.IsEmpty ? TorturedKeyspaces.First : keyspaces[i / 3 % keyspaces.Length];
            lanes[i] = new TortureLane(i, (KeyKind)(i % 3), operationsPerKey, keyspace);
        }

        return lanes;
    }
}
