using Kvasir.Cluster.Directory;

namespace Kvasir.Cluster.Tests.Directory;

public sealed class KeyspaceRulesTests
{
    private static readonly DirectoryView s_view = new Clusters().View;

    [Theory]
    [InlineData("", "no-name", "name begins with")]
    [InlineData("Users", "", "name begins with")]
    [InlineData("1users", "", "name begins with")]
    [InlineData("us ers", "", "name begins with")]
    [InlineData("system", "", "the cluster's own")]
    [InlineData("db0", "", "kept for the database")]
    [InlineData("db99", "", "kept for the database")]
    [InlineData("users", "engine", "has no value")]
    [InlineData("users", "colour blue", "no choice of a keyspace")]
    [InlineData("users", "shards 4 SHARDS 8", "given twice")]
    [InlineData("users", "shards four", "no number")]
    [InlineData("users", "shards -4", "shards -4 is no power of two from 1 to 1024")]
    [InlineData("users", "shards 4294967296", "shards 4294967296 is no power of two from 1 to 1024")]
    [InlineData("users", "replicas -1", "replicas -1 is not in 1 to 7")]
    [InlineData("users", "replicas 4294967296", "replicas 4294967296 is not in 1 to 7")]
    [InlineData("users", "engine rocks", "there is no engine 'rocks'")]
    [InlineData("users", "partitioning hash", "there is no partitioning 'hash'")]
    [InlineData("users", "replication paxos", "there is no replication 'paxos'")]
    [InlineData("users", "conflicts first", "there is no rule for conflicts 'first'")]
    [InlineData("users", "durability maybe", "there is no durability 'maybe'")]
    // What can never be, each with its reason.
    [InlineData("users", "partitioning range engine log", "keeps keys in order")]
    [InlineData("users", "partitioning range engine log", "partitioning range is not there yet: static is")]
    [InlineData("users", "partitioning ring", "needs shards or ranges")]
    [InlineData("users", "conflicts lww", "all writes in one order")]
    [InlineData("users", "durability interval", "on stable storage")]
    [InlineData("users", "durability none", "on stable storage")]
    [InlineData("users", "replication quorum conflicts lww", "copies on a ring")]
    [InlineData("users", "replication quorum partitioning ring", "what becomes of conflicts")]
    [InlineData("users", "replication multileader partitioning ring conflicts lww", "inside each region")]
    [InlineData("users", "replication multileader", "come to the same value")]
    [InlineData("users", "replication multileader conflicts siblings", "come to the same value")]
    [InlineData("users", "shards 3", "no power of two")]
    [InlineData("users", "shards 0", "no power of two")]
    [InlineData("users", "shards 2048", "no power of two")]
    [InlineData("users", "replicas 0", "not in 1 to 7")]
    [InlineData("users", "replicas 9", "not in 1 to 7")]
    [InlineData("users", "replicas 4", "outlives no more failures than 3")]
    // What is not there yet.
    [InlineData("users", "replication quorum partitioning ring conflicts crdt", "replication quorum is not there yet")]
    [InlineData("users", "replication multileader partitioning static conflicts lww", "replication multileader is not there yet")]
    [InlineData("users", "partitioning range engine btree", "partitioning range is not there yet")]
    public void WhatCannotBeIsRefusedWithTheReason(string name, string words, string reason)
    {
        string? refusal = Ask(name, words, out _);
        Assert.NotNull(refusal);
        Assert.Contains(reason, refusal, StringComparison.Ordinal);
    }

    /// <summary>There are words for what is still to come: whoever mistook one is not sent there.</summary>
    [Theory]
    [InlineData("partitioning hash")]
    [InlineData("partitioning ring")]
    [InlineData("replication paxos")]
    [InlineData("conflicts first")]
    [InlineData("durability maybe")]
    public void ARefusalProposesOnlyWhatCanBeHad(string words)
    {
        string refusal = Ask("users", words, out _)!;
        string proposed = refusal[(refusal.IndexOf(':', StringComparison.Ordinal) + 1)..];
        foreach (string later in (string[])["range", "ring", "quorum", "multileader", "lww", "siblings", "crdt", "interval"])
            Assert.DoesNotContain(later, proposed, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("engine rocks", "there is no engine 'rocks': it is lsm, log or btree", false)]
    [InlineData("partitioning hash", "there is no partitioning 'hash': it is static", false)]
    [InlineData("replication paxos", "there is no replication 'paxos': it is raft", false)]
    [InlineData("conflicts first", "there is no rule for conflicts 'first': it is none", false)]
    [InlineData("durability maybe", "there is no durability 'maybe': it is sync", false)]
    [InlineData("durability maybe", "there is no durability 'maybe': it is sync, interval or none", true)]
    public void WordsThatCanBeHadAreListedOnce(string words, string refusal, bool isAlone)
    {
        Assert.True(KeyspaceRequest.TryParse("users", words.Split(' '), out KeyspaceRequest? request, out _));
        Assert.Equal(refusal, isAlone ? KeyspaceRules.RefusalAlone(request) : KeyspaceRules.Refusal(request));
    }

    [Theory]
    [InlineData("users", "")]
    [InlineData("a", "engine lsm partitioning static shards 16 replication raft replicas 3 durability sync conflicts none")]
    [InlineData("a-b_9", "SHARDS 1024 Replicas 7")]
    [InlineData("dbx", "shards 1 replicas 1")]
    [InlineData("users", "engine log")]
    [InlineData("users", "engine btree shards 2")]
    public void WhatMakesSenseIsMade(string name, string words)
    {
        Assert.Null(Ask(name, words, out DirectoryDecision decision));
        Assert.NotEmpty(decision.Changes);
    }

    [Fact]
    public void OfAllCombinationsOneOfEachEngineIsThereAndAllOthersSayWhyNot()
    {
        int granted = 0;
        foreach (string engine in (string[])["lsm", "log", "btree"])
        {
            foreach (string partitioning in (string[])["range", "static", "ring"])
            {
                foreach (string replication in (string[])["raft", "quorum", "multileader"])
                {
                    foreach (string conflicts in (string[])["none", "lww", "siblings", "crdt"])
                    {
                        foreach (string durability in (string[])["sync", "interval", "none"])
                        {
                            string words = $"engine {engine} partitioning {partitioning} replication {replication} conflicts {conflicts} durability {durability}";
                            string? refusal = Ask("users", words, out _);
                            bool possible = words == $"engine {engine} partitioning static replication raft conflicts none durability sync";
                            Assert.True(refusal is null == possible, words + ": " + refusal);
                            granted += possible ? 1 : 0;
                        }
                    }
                }
            }
        }

        Assert.Equal(3, granted);
    }

    [Fact]
    public void TheSameNameIsNotGivenTwice()
    {
        Clusters cluster = new();
        cluster.Do(DirectoryOperations.CreateKeyspace(cluster.View, new KeyspaceRequest { Name = "users" }));
        Assert.Contains("already", DirectoryOperations.CreateKeyspace(cluster.View, new KeyspaceRequest { Name = "users" }).Refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void ThereIsAnEndToShards()
    {
        Clusters cluster = new();
        for (int i = 0; i < 15; i++)
            cluster.Do(DirectoryOperations.CreateKeyspace(cluster.View, new KeyspaceRequest { Name = "k" + i, Shards = 1024 }));
        Assert.Contains("16384 shards at most", DirectoryOperations.CreateKeyspace(cluster.View, new KeyspaceRequest { Name = "more", Shards = 1024 }).Refusal,
            StringComparison.Ordinal);
    }

    [Fact]
    public void TheChoicesAreReadAsTheyWereMade()
    {
        const string Words = "engine lsm partitioning static shards 16 replication raft replicas 5 durability sync conflicts none";
        Clusters cluster = new();
        Assert.True(KeyspaceRequest.TryParse("users", Words.Split(' '), out KeyspaceRequest? request, out _));
        cluster.Do(DirectoryOperations.CreateKeyspace(cluster.View, request));
        Assert.Equal(Words, string.Join(' ', cluster.View.KeyspaceByName("users")!.Record.Choices.Select(c => c.Choice + " " + c.Value)));
    }

    private static string? Ask(string name, string words, out DirectoryDecision decision)
    {
        decision = default;
        string[] list = words.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (!KeyspaceRequest.TryParse(name, name.Length == 0 ? [] : list, out KeyspaceRequest? request, out string? refusal))
            return refusal;
        decision = DirectoryOperations.CreateKeyspace(s_view, request);
        return decision.Refusal;
    }
}
