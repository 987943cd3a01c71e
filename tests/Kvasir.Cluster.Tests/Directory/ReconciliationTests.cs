using Kvasir.Cluster.Directory;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Raft.Membership;
using Kvasir.Raft.Numbers;

namespace Kvasir.Cluster.Tests.Directory;

public sealed class ReconciliationTests
{
    [Theory]
    // As it is; led by; caught up beside the leader; wanted of these nodes (d: being drained); preferred; what is done.
    [InlineData("(1 2 3)", 1, "2 3", "1 2 3", 0, "none, settled")]
    [InlineData("(1)", 1, "", "1 2 3", 0, "voters 1 learners 2 3")]
    [InlineData("(1) learners(2 3)", 1, "", "1 2 3", 0, "wait")]
    [InlineData("(1) learners(2 3)", 1, "2", "1 2 3", 0, "voters 1 2 learners 3")]
    [InlineData("(1) learners(2 3)", 1, "2 3", "1 2 3", 0, "voters 1 2 3 learners")]
    [InlineData("(1 2)&(1) learners(3)", 1, "2 3", "1 2 3", 0, "wait")]
    // One goes, another comes: the silent one makes room first, the leader last.
    [InlineData("(1 2 3)", 1, "2 3", "1 2 4", 0, "voters 1 2 3 learners 4")]
    [InlineData("(1 2 3) learners(4)", 1, "2", "1 2 4", 0, "wait")]
    [InlineData("(1 2 3) learners(4)", 1, "2 4", "1 2 4", 0, "voters 1 2 4 learners")]
    [InlineData("(1 2 3) learners(4 5)", 1, "3 4", "1 4 5", 0, "voters 1 3 4 learners 5")]
    [InlineData("(1 2 3) learners(4 5 6)", 1, "2 3 4", "4 5 6", 0, "voters 1 3 4 learners 5 6")]
    [InlineData("(1 3 4) learners(5 6)", 1, "3 4 5 6", "4 5 6", 0, "transfer 4")]
    [InlineData("(1 3 4) learners(5 6)", 4, "1 3 5 6", "4 5 6", 0, "voters 4 5 6 learners")]
    // Nobody who stays can take over: the leader leaves by itself.
    [InlineData("(1) learners(2)", 1, "2", "2", 0, "voters 2 learners")]
    // A learner that is no longer wanted goes; one that was to vote learns on where it shall learn.
    [InlineData("(1 2 3) learners(4)", 1, "2 3 4", "1 2 3", 0, "voters 1 2 3 learners")]
    // Never a configuration without a majority that is there.
    [InlineData("(1 2 3)", 1, "3", "1 2", 0, "wait")]
    [InlineData("(1 2 3)", 1, "2", "1 2", 0, "voters 1 2 learners")]
    [InlineData("(1 2 3 4 5)", 1, "2", "1 2 3", 0, "wait")]
    [InlineData("(1 2 3 4 5)", 1, "2 5", "1 2 3", 0, "voters 1 2 3 learners")]
    // Leadership.
    [InlineData("(1 2 3)", 1, "2 3", "1 2 3", 3, "transfer 3, settled")]
    [InlineData("(1 2 3)", 1, "2", "1 2 3", 3, "none, settled")]
    [InlineData("(1 2 3)", 3, "1 2", "1 2 3", 3, "none, settled")]
    [InlineData("(1 2 3)", 1, "2 3", "1d 2 3", 0, "transfer 2, settled")]
    [InlineData("(1 2 3)", 1, "2 3", "1d 2d 3", 0, "transfer 3, settled")]
    [InlineData("(1 2 3)", 1, "2 3", "1 2 3d", 3, "none, settled")]
    [InlineData("(1 2 3)", 1, "", "1d 2 3", 0, "none, settled")]
    [InlineData("(1 2) learners(3)", 1, "2", "1d 2 3", 0, "transfer 2")]
    [InlineData("(1 2) learners(3)", 1, "2", "1 2 3", 2, "wait")]
    public void TheNextStepIs(string configuration, ulong leader, string caughtUp, string wanted, ulong preferred, string step)
    {
        Configuration now = ConfigurationOf(configuration);
        Assert.Equal(configuration, now.ToString());
        var knowledge = new GroupKnowledge
        {
            Self = new MemberId(leader),
            Configuration = now,
            IsChangeInProgress = now.IsJoint,
            CaughtUp = [.. Numbers(caughtUp).Select(n => new MemberId(n))],
        };
        GroupTarget target = GroupTarget.Of(ViewOf(wanted, preferred), new GroupId(2))!;
        Assert.Equal(step, TextOf(Reconciliation.Next(target, knowledge)));
    }

    [Fact]
    public void OfTheDirectoryEverybodyElseLearns()
    {
        Clusters cluster = new(databases: 1);
        for (int i = 0; i < 3; i++)
            cluster.Join();
        cluster.Join(activate: false);
        cluster.Settle();
        Assert.Equal("(1 2 3) learners(4 5)", Target(cluster).ToString());
        cluster.Do(DirectoryOperations.Dead(cluster.View, new NodeId(3)));
        cluster.Settle();
        Assert.Equal("(1 2 4) learners(3 5)", Target(cluster).ToString());
        cluster.Do(DirectoryOperations.Join(cluster.View, Clusters.Request(3), out _));
        Assert.Equal("(1 2 4) learners(3 5)", Target(cluster).ToString());

        // Who is decommissioned hears on until all has moved away.
        cluster.Do(DirectoryOperations.Activate(cluster.View, new NodeId(5)));
        cluster.Settle();
        cluster.Do(DirectoryOperations.Decommission(cluster.View, new NodeId(4), force: false));
        cluster.Do(DirectoryUpkeep.Next(cluster.View, [], new UpkeepSettings()));
        Assert.Equal("(1 2 5) learners(3 4)", Target(cluster).ToString());
        cluster.Settle();
        Assert.Equal("(1 2 5) learners(3)", Target(cluster).ToString());
    }

    [Fact]
    public void FromAnywhereToAnywhereThroughAnyCrashes()
    {
        for (ulong seed = 1; seed <= 600; seed++)
        {
            try
            {
                new GroupInModel(new SeededRandom(seed)).Run();
            }
            catch (Exception failure) when (failure is not OutOfMemoryException)
            {
                throw new InvalidOperationException($"seed {seed}: {failure.Message}", failure);
            }
        }
    }

    private static Configuration Target(Clusters cluster) => GroupTarget.Of(cluster.View, GroupId.Directory)!.Configuration;

    internal static string TextOf(ReconciliationStep step)
    {
        string text = step.Action switch
        {
            ReconciliationAction.Configure => string.Join(' ', ["voters", .. step.Voters.Select(v => v.ToString()), "learners", .. step.Learners.Select(l => l.ToString())]),
            ReconciliationAction.Transfer => $"transfer {step.To}",
            _ => step.Action.ToString().ToLowerInvariant(),
        };
        return step.IsSettled ? text + ", settled" : text;
    }

    /// <summary>A directory whose group 2 is wanted on these nodes.</summary>
    private static DirectoryView ViewOf(string wanted, ulong preferred)
    {
        string[] words = wanted.Split(' ');
        var draft = new DirectoryDraft(new Clusters(databases: 1).View);
        for (ulong id = 1; id <= 6; id++)
        {
            draft.Put(draft.View.Nodes[0] with
            {
                Id = new NodeId(id),
                Identity = id,
                State = words.Contains(id + "d") ? NodeState.Draining : NodeState.Active,
            });
        }

        draft.Put(draft.View.Group(new GroupId(2))! with
        {
            Replicas = [.. words.Select(w => new NodeId(ulong.Parse(w.TrimEnd('d'))))],
            PreferredLeader = new NodeId(preferred),
        });
        return draft.View;
    }

    private static Configuration ConfigurationOf(string text)
    {
        string[] parts = text.Replace(" learners", "", StringComparison.Ordinal).Split(')', StringSplitOptions.RemoveEmptyEntries);
        MemberId[][] lists = [.. parts.Select(p => p[(p.IndexOf('(', StringComparison.Ordinal) + 1)..]).Select(p => Numbers(p).Select(n => new MemberId(n)).ToArray())];
        bool joint = text.Contains('&', StringComparison.Ordinal);
        MemberId[] learners = text.Contains("learners", StringComparison.Ordinal) ? lists[^1] : [];
        return new Configuration(lists[0], learners, joint ? lists[1] : []);
    }

    private static ulong[] Numbers(string text) => [.. text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(ulong.Parse)];
}
