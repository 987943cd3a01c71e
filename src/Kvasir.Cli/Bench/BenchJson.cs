using System.Text.Json;
using System.Text.Json.Serialization;
using Kvasir.Cli.Bench.Engines;
using Kvasir.Cli.Bench.Servers;

namespace Kvasir.Cli.Bench;

/// <summary>Reports as JSON: one indented document and a line end. Names are part of the command line's contract.</summary>
[JsonSourceGenerationOptions(WriteIndented = true)]
[JsonSerializable(typeof(LoadReport))]
[JsonSerializable(typeof(IReadOnlyList<EngineReport>))]
internal sealed partial class BenchJson : JsonSerializerContext
{
    public static string Serialize(LoadReport report) => JsonSerializer.Serialize(report, Default.LoadReport) + "\n";

    public static string Serialize(IReadOnlyList<EngineReport> reports) =>
        JsonSerializer.Serialize(reports, Default.IReadOnlyListEngineReport) + "\n";
}
