using System.Globalization;
using System.Text;
using System.Text.Json;
using Kvasir.Cli.CommandLine;
using Kvasir.Storage.Files;

namespace Kvasir.Cli.DataFiles;

/// <summary>What <c>kvasir verify</c> found.</summary>
/// <param name="Files">That were read.</param>
/// <param name="Bytes">In them.</param>
/// <param name="Damage">What is wrong.</param>
/// <param name="IsUnlocked">The folder cannot be written and has no lock: it was checked without.</param>
/// <param name="IsComplete">It was not interrupted.</param>
internal sealed record VerifyReport(int Files, long Bytes, IReadOnlyList<DamageFinding> Damage, bool IsUnlocked, bool IsComplete)
{
    public string ToText()
    {
        StringBuilder text = new();
        foreach (DamageFinding finding in Damage)
            text.AppendLine(CultureInfo.InvariantCulture, $"{finding.Path}: offset {finding.Offset}: {finding.Detail}");
        string verdict = Damage.Count == 0 ? "sound" : Counted.Of(Damage.Count, "damaged place");
        return text.Append(CultureInfo.InvariantCulture, $"{Counted.Of(Files, "file")}, {Bytes:N0} bytes: {verdict}{(IsComplete ? "" : ", and the rest was not read")}").ToString();
    }

    public void WriteJson(Stream stream)
    {
        using (var writer = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            writer.WriteBoolean("sound", Damage.Count == 0 && IsComplete);
            writer.WriteBoolean("complete", IsComplete);
            writer.WriteNumber("files", Files);
            writer.WriteNumber("bytes", Bytes);
            writer.WriteStartArray("damage");
            foreach (DamageFinding finding in Damage)
            {
                writer.WriteStartObject();
                writer.WriteString("file", finding.Path);
                writer.WriteNumber("offset", finding.Offset);
                writer.WriteString("detail", finding.Detail);
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        stream.WriteByte((byte)'\n');
    }
}
