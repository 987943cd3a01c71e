using System.Globalization;
using System.Text;
using Kvasir.Cluster.Groups;
using Kvasir.Cluster.Partitioning;
using Kvasir.Cluster.Replicas;
using Kvasir.Cluster.Routing;
using Kvasir.Cluster.Transport;
using Kvasir.Primitives;
using Kvasir.Simulation.Histories;
using Kvasir.Simulation.Workloads;
using Kvasir.Storage.Files;

namespace Kvasir.Simulation.Nodes;

/// <summary>What a client asks a node for.</summary>
/// <param name="Kind">What to do to the key.</param>
/// <param name="Database">Where the key is.</param>
/// <param name="Key">The key.</param>
/// <param name="Argument">As histories have it.</param>
/// <param name="Ballast">Bytes that values are made longer by.</param>
internal sealed record ClientRequest(OperationKind Kind, int Database, string Key, HistoryValue Argument, int Ballast)
{
    public bool IsRead => Kind == OperationKind.Read;

    /// <summary>A read that need not be current: how old it may be. Null for one that must.</summary>
    public TimeSpan? AgeMax { get; init; }

    /// <summary>Under which the cluster knows it again.</summary>
    public WriteId Id { get; init; }

    /// <summary>Up to here the shard's log was committed before it was sent for the first time.</summary>
    public LogPosition Known { get; init; }

    /// <summary>All keys with the same number are in the same shard of their database.</summary>
    public int Shard => Slot.OfKey(Encoding.UTF8.GetBytes(Key)).Shard(ClusterClient.ShardsPerDatabase);
}

internal enum ClientOutcome
{
    Done,

    /// <summary>It did not happen, and by this attempt never will.</summary>
    Refused,

    /// <summary>Nobody can say whether it happened.</summary>
    Lost,

    /// <summary>It was not done by this attempt; the node that leads cannot tell whether it was by an earlier one.</summary>
    Forgotten,
}

/// <summary>What a client is told. Who is told nothing knows nothing.</summary>
internal readonly record struct ClientReply(ClientOutcome Outcome, HistoryValue Value, NodeId Leader)
{
    public static ClientReply Lost => new(ClientOutcome.Lost, default, default);

    public static ClientReply Refused(NodeId leader) => new(ClientOutcome.Refused, default, leader);

    public static ClientReply Done(HistoryValue value) => new(ClientOutcome.Done, value, default);

    /// <summary>Up to here the shard's log is committed, as far as who answers knows.</summary>
    public LogPosition Committed { get; init; }

    /// <summary>How old the answer is at most, by the world's clock; null: it is current.</summary>
    public TimeSpan? Age { get; init; }
}

/// <summary>A client's request inside the mailbox of a node: routed, run and committed as a session does.</summary>
internal sealed class RequestItem(NodeProcess process, ClientRequest request, TimeSpan patience, Action<ClientReply> reply) : IMailboxItem
{
    private ReadClaim _claim;

    /// <summary>The shard whose leader it waits for: this node leads without a lease.</summary>
    public GroupId Group { get; private set; }

    public void Run(Execution execution)
    {
        byte[] key = Encoding.UTF8.GetBytes(request.Key);
        IRouter router = process.Node!.Router;
        Group = router.Route(request.Database, Slot.OfKey(key).Value).Group;
        if (request.AgeMax is { } ageMax && router.StaleReplica(Group, ageMax, out TimeSpan age) is { } stale)
        {
            ReadStale(execution, stale, key, age);
            return;
        }

        Route route = router.Route(Group, ref _claim);
        if (route.Kind == RouteKind.NotReady && process.Now < patience)
        {
            process.Await(this);
            return;
        }

        if (route.Kind == RouteKind.Local && _claim != default)
            process.Machine.World.Coverage.Add("requests by claim");
        if (route is not { Kind: RouteKind.Local, Replica: { } replica } || (!request.IsRead && replica.Log.Refusal is not null))
        {
            reply(ClientReply.Refused(route.Leader));
            return;
        }

        LogPosition committed = replica.Log.DurablePosition;
        HistoryValue value;
        try
        {
            if (!request.IsRead && IsKnown(execution, replica))
                return;
            value = Execute(execution, replica, key);
            if (execution.StagedBytes != 0)
                execution.Remember(request.Id, Encoding.UTF8.GetBytes(Reply(value)));
            execution.Commit();
        }
        catch (StorageException)
        {
            execution.Abandon();
            execution.TakeGate();
            reply(ClientReply.Refused(NodeId.None));
            return;
        }

        process.Answer(execution.TakeGate(), ClientReply.Done(value) with { Committed = committed }, reply);
    }

    /// <summary>The log has it already, or nobody can tell: it is answered, and not run.</summary>
    private bool IsKnown(Execution execution, Replica replica)
    {
        IReplicaLog log = replica.Log;
        DiskWorkloadCoverage coverage = process.Machine.World.Coverage;
        switch (log.Sessions!.Find(request.Id, request.Known, out ReadOnlySpan<byte> told, out LogPosition position))
        {
            case WriteFate.Applied:
                coverage.Add("writes known again");
                string text = Encoding.UTF8.GetString(told);
                execution.SeeRecord(log, position);
                process.Answer(execution.TakeGate(), ClientReply.Done(text[0] == '+' ? default : Number(text[1..])) with { Committed = log.DurablePosition }, reply);
                return true;
            case WriteFate.Unknown or WriteFate.AppliedWithoutReply:
                coverage.Add("writes that may be forgotten");
                reply(new ClientReply(ClientOutcome.Forgotten, default, process.Node!.Self) { Committed = log.DurablePosition });
                return true;
            default:
                return false;
        }
    }

    private static string Reply(HistoryValue value) => value.IsNumber ? string.Create(CultureInfo.InvariantCulture, $":{value.Number}") : "+OK\r\n";

    /// <summary>The node's clock may be slow.</summary>
    private void ReadStale(Execution execution, Replica replica, byte[] key, TimeSpan age)
    {
        ClusterWorld world = process.Machine.World;
        HistoryValue value;
        try
        {
            value = Execute(execution, replica, key);
        }
        catch (StorageException)
        {
            execution.TakeGate();
            reply(ClientReply.Refused(NodeId.None));
            return;
        }

        world.Coverage.Add("stale reads");
        TimeSpan trueAge = TimeSpan.FromTicks((long)(age.Ticks / (1 - world.Settings.ClockDriftMax)) + 1);
        process.Answer(execution.TakeGate(), ClientReply.Done(value) with { Age = trueAge }, reply);
    }

    private HistoryValue Execute(Execution execution, Replica replica, byte[] key)
    {
        if (Bank.Is(request.Key))
            return Bank.Execute(request, execution, replica);
        if (request.Kind == OperationKind.Write)
        {
            Put(request.Argument);
            return default;
        }

        var bytes = new BytesBuffer();
        bool isThere = execution.Get(replica, key, bytes).Found;
        HistoryValue found = isThere ? Parse(Encoding.UTF8.GetString(bytes.WrittenSpan)) : default;
        switch (request.Kind)
        {
            case OperationKind.Read:
                return found;
            case OperationKind.CompareAndSet:
                if (found != request.Argument.List[0])
                    return HistoryValue.Of(0);
                Put(request.Argument.List[1]);
                return HistoryValue.Of(1);
            case OperationKind.Increment:
                HistoryValue sum = HistoryValue.Of((found.IsNumber ? found.Number : 0) + 1);
                Put(sum);
                return sum;
            case OperationKind.Append:
                HistoryValue list = found.IsList ? HistoryValue.Of([.. found.List, request.Argument]) : HistoryValue.Of([request.Argument]);
                Put(list);
                return HistoryValue.Of(list.List.Length);
            case OperationKind.Delete:
                if (isThere)
                    execution.Delete(replica, key);
                return HistoryValue.Of(isThere ? 1 : 0);
            default:
                Check.Fail($"no request: {request.Kind}");
                return default;
        }

        void Put(HistoryValue value) =>
            execution.Put(replica, key, [], Encoding.UTF8.GetBytes(Format(value) + ':' + new string('x', request.Ballast)), 0);
    }

    private static string Format(HistoryValue value)
    {
        if (!value.IsList)
            return value.Number.ToString(CultureInfo.InvariantCulture);
        var text = new StringBuilder("[");
        foreach (HistoryValue element in value.List)
            text.Append(element.Number).Append(',');
        return text.ToString();
    }

    private static HistoryValue Parse(string text)
    {
        string value = text[..text.IndexOf(':', StringComparison.Ordinal)];
        return value[0] == '['
            ? HistoryValue.Of([.. value[1..].Split(',', StringSplitOptions.RemoveEmptyEntries).Select(Number)])
            : Number(value);
    }

    private static HistoryValue Number(string text) => HistoryValue.Of(long.Parse(text, CultureInfo.InvariantCulture));
}
