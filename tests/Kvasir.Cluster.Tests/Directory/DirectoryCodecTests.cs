using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Keyspaces;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft.Numbers;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Tests.Directory;

public sealed class DirectoryCodecTests
{
    private static readonly Dictionary<string, (byte[] Key, byte[] Value)> s_samples = new(StringComparer.Ordinal)
    {
        ["cluster"] = (DirectoryKey.Cluster.ToBytes(), DirectoryCodec.Write(new ClusterRecord(300, "kvasir"))),
        ["counters"] = (DirectoryKey.Counters.ToBytes(), DirectoryCodec.Write(new IdCounters(new NodeId(4), new KeyspaceId(3), new GroupId(6)))),
        ["node 3"] = (DirectoryKey.Of(new NodeId(3)).ToBytes(), DirectoryCodec.Write(Node)),
        ["keyspace 2"] = (DirectoryKey.Of(new KeyspaceId(2)).ToBytes(), DirectoryCodec.Write(Keyspace)),
        ["keyspace 3"] = (DirectoryKey.Of(new KeyspaceId(3)).ToBytes(), DirectoryCodec.Write(MovingKeyspace)),
        ["group 5"] = (DirectoryKey.Of(new GroupId(5)).ToBytes(), DirectoryCodec.Write(Group)),
        ["group 6"] = (DirectoryKey.Of(new GroupId(6)).ToBytes(), DirectoryCodec.Write(MovedGroup)),
    };

    private static NodeRecord Node => new()
    {
        Id = new NodeId(3),
        Identity = 258,
        State = NodeState.Active,
        Incarnation = 5,
        PeerAddress = "a:1",
        RespAddress = "a:2",
        Locality = Locality.TryParse("zone=b", out Locality? zone, out _) ? zone : Locality.None,
    };

    private static KeyspaceRecord Keyspace => new()
    {
        Id = new KeyspaceId(2),
        Name = "db0",
        Database = 0,
        Engine = "lsm",
        Partitioning = KeyspacePartitioning.Static,
        Shards = 4,
        Replication = KeyspaceReplication.Raft,
        Replicas = 3,
        Durability = Durability.Sync,
        Conflicts = KeyspaceConflicts.None,
    };

    private static KeyspaceRecord MovingKeyspace => new()
    {
        Id = new KeyspaceId(3),
        Name = "s",
        Engine = "lsm",
        Partitioning = KeyspacePartitioning.Static,
        Shards = 1,
        Replication = KeyspaceReplication.Raft,
        Replicas = 3,
        Durability = Durability.Sync,
        Conflicts = KeyspaceConflicts.None,
        Move = new KeyspaceMove { From = "lsm", To = "log", State = KeyspaceMoveState.Aborting, Number = 2, Reason = "aborted", BeganAtMs = 300 },
    };

    private static GroupRecord Group => new()
    {
        Id = new GroupId(5),
        Keyspace = new KeyspaceId(2),
        Shard = 3,
        Epoch = 7,
        SettledEpoch = 6,
        PreferredLeader = new NodeId(2),
        IsLeaderPinned = true,
        Replicas = [new NodeId(1), new NodeId(2), new NodeId(4)],
        Founders = [new NodeId(1)],
    };

    private static GroupRecord MovedGroup => new()
    {
        Id = new GroupId(6),
        Keyspace = new KeyspaceId(2),
        Shard = 2,
        Epoch = 9,
        SettledEpoch = 7,
        Replicas = [new NodeId(1), new NodeId(4)],
        Generations = [0, 7],
        Leaving = [new MemberId(2, 3), new MemberId(3, 0)],
        Founders = [new NodeId(1)],
    };

    [Fact]
    public void RecordsHaveTheBytesOnPaper()
    {
        string[][] rows = FormatPage.Table("directory.md", "record", "key", "value");
        Assert.Equal(s_samples.Keys.Order(StringComparer.Ordinal), rows.Select(r => r[0]).Order(StringComparer.Ordinal));
        foreach (string[] row in rows)
        {
            Assert.Equal(Convert.ToHexString(s_samples[row[0]].Key), Convert.ToHexString(FormatPage.Bytes(row[1])));
            Assert.Equal(Convert.ToHexString(s_samples[row[0]].Value), Convert.ToHexString(FormatPage.Bytes(row[2])));
        }
    }

    [Fact]
    public void RecordsOnPaperAreRead()
    {
        DirectoryRecords records = new();
        foreach (string[] row in FormatPage.Table("directory.md", "record", "key", "value"))
            Assert.True(records.Apply(FormatPage.Bytes(row[1]), FormatPage.Bytes(row[2])));
        DirectoryView view = records.View;
        Assert.Equal(new ClusterRecord(300, "kvasir"), view.Cluster);
        Assert.Equal(new IdCounters(new NodeId(4), new KeyspaceId(3), new GroupId(6)), view.Counters);
        Assert.Equal(Node, view.Node(new NodeId(3)));
        Assert.Equal(Keyspace, view.Keyspace(new KeyspaceId(2))?.Record);
        Assert.Equal(MovingKeyspace, view.Keyspace(new KeyspaceId(3))?.Record);
        Assert.Equal(Group, view.Group(new GroupId(5)));
        Assert.Equal(MovedGroup, view.Group(new GroupId(6)));
        Assert.Same(view.Group(new GroupId(5)), view.KeyspaceOfDatabase(0)?.Groups[3]);
    }

    [Fact]
    public void NoPrefixOfARecordIsOneNorIsOneWithMore()
    {
        foreach ((string name, (byte[] key, byte[] value)) in s_samples)
        {
            for (int i = 0; i < value.Length; i++)
                Assert.ThrowsAny<StorageException>(() => new DirectoryRecords().Apply(key, value.AsSpan(0, i)));
            Assert.ThrowsAny<StorageException>(() => new DirectoryRecords().Apply(key, (byte[])[.. value, 0]));
            Assert.True(new DirectoryRecords().Apply(key, value), name);
        }
    }

    [Fact]
    public void WhateverTheBytesAreTheyAreRefusedOrAreTheOnlySpelling()
    {
        var random = new SeededRandom(1);
        int read = 0;
        foreach ((_, (byte[] key, byte[] value)) in s_samples.OrderBy(s => s.Key, StringComparer.Ordinal))
        {
            for (int i = 0; i < 5_000; i++)
            {
                byte[] bytes = [.. value];
                for (int flips = random.Next(1, 4); flips > 0; flips--)
                    bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
                DirectoryRecords records = new();
                try
                {
                    records.Apply(key, bytes);
                }
                catch (StorageException)
                {
                    continue;
                }

                read++;
                Assert.Equal(Convert.ToHexString(bytes), Convert.ToHexString(Rewritten(records.View)));
            }
        }

        Assert.True(read > 100);
    }

    [Fact]
    public void ARecordOfANewerVersionSaysSo()
    {
        byte[] value = [.. s_samples["cluster"].Value];
        value[0] = 2;
        FormatTooNewException tooNew = Assert.Throws<FormatTooNewException>(() => new DirectoryRecords().Apply(s_samples["cluster"].Key, value));
        Assert.Contains("format version 2", tooNew.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("01020209070000020104010100", false)]
    [InlineData("020202090700000201040101000702020303 00", true)]
    // Generations of the epoch itself, or of none; leaving and named; out of order; nothing that version 1 could not say.
    [InlineData("020202090700000201040101000902020303 00", false)]
    [InlineData("020202090700000201040101000702010303 00", false)]
    [InlineData("020202090700000201040101000702030002 03", false)]
    [InlineData("02020209070000020104010100000 0", false)]
    public void GenerationsAreOfEpochsThatHaveBeen(string value, bool isOne)
    {
        byte[] bytes = Convert.FromHexString(value.Replace(" ", "", StringComparison.Ordinal));
        Assert.Equal(isOne, DirectoryCodec.TryRead(new GroupId(6), bytes, out GroupRecord? read));
        Assert.Equal(isOne ? MovedGroup : null, read);
    }

    [Theory]
    [InlineData("446E01")]
    [InlineData("446E0000000000000000")]
    [InlineData("446700000000")]
    [InlineData("446301")]
    public void AKeyThatLooksLikeOneAndIsNoneIsDamage(string key) =>
        Assert.Throws<CorruptionException>(() => new DirectoryRecords().Apply(Convert.FromHexString(key), [1]));

    [Theory]
    [InlineData("")]
    [InlineData("44")]
    [InlineData("447A")]
    [InlineData("6461746162617365")]
    public void OtherKeysOfTheSystemKeyspaceArePassedOver(string key)
    {
        Assert.False(new DirectoryRecords().Apply(Convert.FromHexString(key), [1, 2, 3]));
        Assert.False(new DirectoryRecords().Remove(Convert.FromHexString(key)));
    }

    [Fact]
    public void WhatIsDeletedIsGoneByKeyAndByRange()
    {
        DirectoryRecords records = new();
        WriteBatch batch = new();
        foreach ((_, (byte[] key, byte[] value)) in s_samples)
            batch.Put(key, value);
        batch.Delete(s_samples["node 3"].Key);
        records.ApplyBatch(batch.Bytes);
        Assert.Empty(records.View.Nodes);
        Assert.Equal(2, records.View.Groups.Length);

        batch.Clear();
        batch.DeleteRange("Dg"u8, "Dk"u8);
        records.ApplyBatch(batch.Bytes);
        Assert.Empty(records.View.Groups);
        Assert.Equal(IdCounters.First, records.View.Counters);
        Assert.Equal(2, records.View.Keyspaces.Length);
        Assert.NotNull(records.View.Cluster);

        batch.Clear();
        batch.DeleteRange("A"u8, []);
        records.ApplyBatch(batch.Bytes);
        Assert.Empty(records.View.Keyspaces);
        Assert.Null(records.View.Cluster);
    }

    private static byte[] Rewritten(DirectoryView view)
    {
        if (view.Cluster is { } cluster)
            return DirectoryCodec.Write(cluster);
        if (!view.Nodes.IsEmpty)
            return DirectoryCodec.Write(view.Nodes[0]);
        if (!view.Keyspaces.IsEmpty)
            return DirectoryCodec.Write(view.Keyspaces[0].Record);
        return view.Groups.IsEmpty ? DirectoryCodec.Write(view.Counters) : DirectoryCodec.Write(view.Groups[0]);
    }
}
