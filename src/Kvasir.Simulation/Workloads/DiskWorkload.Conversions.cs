using Kvasir.Cluster.Conversions;
using Kvasir.Cluster.Nodes;
using Kvasir.Cluster.Replicas;

namespace Kvasir.Simulation.Workloads;

/// <content>Keyspaces that move to other engines while they are written, crash and are spoilt.</content>
public sealed partial class DiskWorkload
{
    private string? _converted;
    private bool _convertedOnBadDisk;

    /// <summary>Begins a conversion, ends one before its time, or lets one that is under way go on.</summary>
    private void Convert(KvasirNode node)
    {
        _convertedOnBadDisk |= _diskIsBad;
        if (_converted is { } keyspace)
        {
            if (Ask(() => node.ConversionOf(keyspace)) is not { IsEnded: false } status)
            {
                NoteConversion(node, keyspace);
                return;
            }

            if (_random.OneIn(60) && Ask(() => node.AbortConversion(keyspace)) is null)
                Count($"conversions aborted in stage {status.Stage}");
            for (int i = _random.Next(4); i > 0; i--)
            {
                _scheduler.Clock.Advance(TimeSpan.FromMilliseconds(_random.Next(12)));
                _scheduler.RunOne();
            }
        }
        else if (_random.OneIn(6))
        {
            string name = node.Replicas[_random.Next(Databases + 1)].Options.Name;
            string[] engines = [_options.Engine.Name, .. _options.Others.Select(static e => e.Name)];
            string engine = engines[_random.Next(engines.Length)];
            if (Ask(() => node.BeginConversion(name, engine)) is not null)
                return;
            Count("conversions begun");
            _converted = name;
            _convertedOnBadDisk = _diskIsBad;
        }
    }

    private void NoteConversion(KvasirNode node, string keyspace)
    {
        _converted = null;
        if (Ask(() => node.ConversionOf(keyspace)) is not { } status)
        {
            Count("conversions ended by a stop");
            return;
        }

        if (status.Stage == ConversionStage.Failed && !_convertedOnBadDisk)
            throw Broken($"a conversion of {keyspace} to {status.To} failed on a good disk: {status.Reason}");
        if (status.Reason?.Contains("the copy is not what was copied", StringComparison.Ordinal) == true)
            throw Broken($"a conversion of {keyspace} to {status.To} made another content: {status.Reason}");
        Count(status.Stage == ConversionStage.Done ? $"conversions from {status.From} to {status.To}" : $"conversions: {status.Stage}");
    }

    private T Ask<T>(Func<T> question)
    {
        QuestionItem<T> item = new(question);
        _posting = true;
        _node!.Mailbox.Post(item);
        _posting = false;
        return item.Answer;
    }

    private sealed class QuestionItem<T>(Func<T> question) : IMailboxItem
    {
        public T Answer { get; private set; } = default!;

        public void Run(Execution execution) => Answer = question();
    }
}
