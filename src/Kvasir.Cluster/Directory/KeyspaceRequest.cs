using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Numerics;

namespace Kvasir.Cluster.Directory;

/// <summary>A keyspace that somebody asks for, in the words that it was asked in.</summary>
public sealed record KeyspaceRequest
{
    public required string Name { get; init; }

    public string Engine { get; init; } = "lsm";

    public string Partitioning { get; init; } = "static";

    public int Shards { get; init; } = 4;

    public string Replication { get; init; } = "raft";

    public int Replicas { get; init; } = 3;

    public string Durability { get; init; } = "sync";

    public string Conflicts { get; init; } = "none";

    /// <summary>
    /// From words as in <c>engine lsm shards 16 replicas 3</c>, in any order and case, each choice once; what is not said has its
    /// default. What the words mean together is judged by <see cref="DirectoryOperations.CreateKeyspace"/>.
    /// </summary>
    /// <param name="name">Of the keyspace.</param>
    /// <param name="words">The choices.</param>
    /// <param name="request">What is asked for.</param>
    /// <param name="refusal">Why the words are none.</param>
    /// <param name="defaults">Of what is not said, where it is not what clusters have.</param>
    public static bool TryParse(
        string name, IReadOnlyList<string> words, [NotNullWhen(true)] out KeyspaceRequest? request, [NotNullWhen(false)] out string? refusal,
        KeyspaceRequest? defaults = null)
    {
        request = null;
        refusal = words.Count % 2 == 0 ? null : $"'{words[words.Count - 1]}' has no value: choices come as pairs, as in 'shards 16'";
        KeyspaceRequest read = defaults is null ? new KeyspaceRequest { Name = name } : defaults with { Name = name };
        var seen = new SortedSet<string>(StringComparer.Ordinal);
        for (int i = 0; i + 1 < words.Count && refusal is null; i += 2)
        {
            string choice = words[i].ToLowerInvariant();
            string value = words[i + 1].ToLowerInvariant();
            if (!seen.Add(choice))
                refusal = $"'{choice}' is given twice";
            else
                read = read.With(choice, value, out refusal);
        }

        if (refusal is not null)
            return false;
        request = read;
        return true;
    }

    /// <summary>The choices, from which it can be read again.</summary>
    public IReadOnlyList<string> ToWords() =>
    [
        "engine", Engine,
        "partitioning", Partitioning,
        "shards", Shards.ToString(CultureInfo.InvariantCulture),
        "replication", Replication,
        "replicas", Replicas.ToString(CultureInfo.InvariantCulture),
        "durability", Durability,
        "conflicts", Conflicts,
    ];

    private KeyspaceRequest With(string choice, string value, out string? refusal)
    {
        refusal = null;
        switch (choice)
        {
            case "engine":
                return this with { Engine = value };
            case "partitioning":
                return this with { Partitioning = value };
            case "replication":
                return this with { Replication = value };
            case "durability":
                return this with { Durability = value };
            case "conflicts":
                return this with { Conflicts = value };
            case "shards" or "replicas":
                if (!int.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int number))
                {
                    refusal = !BigInteger.TryParse(value, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _) ? $"'{choice} {value}' is no number"
                        : choice == "shards" ? KeyspaceRules.RefusalOfShards(value)
                        : KeyspaceRules.RefusalOfReplicas(value);
                }

                return choice == "shards" ? this with { Shards = number } : this with { Replicas = number };
            default:
                refusal = $"'{choice}' is no choice of a keyspace: they are engine, partitioning, shards, replication, replicas, durability, conflicts";
                return this;
        }
    }
}
