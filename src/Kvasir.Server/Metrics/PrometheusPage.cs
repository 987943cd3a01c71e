using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;
using Kvasir.Cluster.Administration;
using Kvasir.Cluster.Groups;
using Kvasir.Server.Commands;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Metrics;

/// <summary>
/// All instruments of Kvasir's meters in Prometheus's text format 0.0.4, and each command's latencies as a cumulative
/// histogram. Thread-safe.
/// </summary>
internal sealed class PrometheusPage : IDisposable
{
    private readonly MeterListener _listener = new();
    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, (Instrument Instrument, double Value)> _values = new(StringComparer.Ordinal);
    private readonly ServerState _server;

    public PrometheusPage(ServerState server)
    {
        _server = server;
        _listener.InstrumentPublished = static (instrument, listener) =>
        {
            if (instrument.Meter.Name.StartsWith("Kvasir.", StringComparison.Ordinal) && instrument.IsObservable)
                listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, _, _) => _values[instrument.Name] = (instrument, value));
        _listener.SetMeasurementEventCallback<double>((instrument, value, _, _) => _values[instrument.Name] = (instrument, value));
        _listener.Start();
    }

    public string Write()
    {
        StringBuilder text = new();
        lock (_lock)
        {
            _listener.RecordObservableInstruments();
            foreach ((Instrument instrument, double value) in _values.Values)
            {
                bool counter = instrument.GetType().Name.StartsWith("ObservableCounter", StringComparison.Ordinal);
                string name = instrument.Name.Replace('.', '_') + (counter ? "_total" : "");
                text.Append("# HELP ").Append(name).Append(' ').Append(instrument.Description).Append('\n');
                text.Append("# TYPE ").Append(name).Append(counter ? " counter\n" : " gauge\n");
                text.Append(name).Append(' ').Append(value.ToString("R", CultureInfo.InvariantCulture)).Append('\n');
            }
        }

        StoppedReplicas(text);
        Latencies(text);
        return text.ToString();
    }

    public void Dispose() => _listener.Dispose();

    private void StoppedReplicas(StringBuilder text)
    {
        const string Name = "kvasir_cluster_replica_difference_info";
        if (_server.Node.Clustered?.Topology.Stopped is not { Count: > 0 } stopped)
            return;
        text.Append("# HELP ").Append(Name).Append(" what a stopped replica has, and its leader had, before an entry of its log\n");
        text.Append("# TYPE ").Append(Name).Append(" gauge\n");
        foreach ((GroupId group, StateDifference? difference, _) in stopped)
        {
            if (difference is null)
                continue;
            text.Append(CultureInfo.InvariantCulture,
                $"{Name}{{shard=\"{group}\",index=\"{difference.Index}\",own=\"{difference.Own}\",leader=\"{difference.Leaders}\"}} 1\n");
        }
    }

    private void Latencies(StringBuilder text)
    {
        const string Name = "kvasir_command_duration_seconds";
        text.Append("# HELP ").Append(Name).Append(" time from a command's start to its reply, without the wait for the disk\n");
        text.Append("# TYPE ").Append(Name).Append(" histogram\n");
        foreach (CommandEntry entry in _server.Commands.AllWithSubcommands)
        {
            if (entry.Counters.Calls == 0)
                continue;
            long sum = 0;
            ReadOnlySpan<long> buckets = entry.Counters.Buckets;
            for (int i = 0; i < 25; i++)
            {
                sum += buckets[i];
                Row("_bucket", entry, $",le=\"{((1L << i) / 1e6).ToString("R", CultureInfo.InvariantCulture)}\"", sum);
            }

            for (int i = 25; i < buckets.Length; i++)
                sum += buckets[i];
            Row("_bucket", entry, ",le=\"+Inf\"", sum);
            Row("_sum", entry, "", entry.Counters.Microseconds / 1e6);
            Row("_count", entry, "", sum);
        }

        void Row(string suffix, CommandEntry entry, string label, double value) =>
            text.Append(Name).Append(suffix).Append("{command=\"").Append(entry.FullName).Append('"').Append(label).Append("} ")
                .Append(value.ToString("R", CultureInfo.InvariantCulture)).Append('\n');
    }
}
