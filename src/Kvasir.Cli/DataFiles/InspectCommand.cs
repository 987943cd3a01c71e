using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Kvasir.Cli.Administration;
using Kvasir.Cli.CommandLine;
using Kvasir.Storage.Files;
using Kvasir.Storage.Machine;

namespace Kvasir.Cli.DataFiles;

/// <summary><c>kvasir inspect FILE</c>: what is in a file, part by part.</summary>
internal static class InspectCommand
{
    public static Command Create()
    {
        Argument<string> path = CommandFlag.Path<string>("FILE", "A journal segment, SSTable, manifest, CURRENT, HASHLOG, its segments and hint files, a B+tree, NODE, STORE, KEYSPACES, FLUSHED, CLUSTER or PEERS file.");
        Option<bool> entries = CommandFlag.Switch("--entries", "Show every entry of blocks and pages, and every operation of records.");
        Option<bool> json = CommandFlag.Switch("--json", "Print one JSON object a line.");
        var command = new Command("inspect", "Print a file of Kvasir for a person: headers, blocks, records, with their offsets.")
        {
            path, entries, json,
        };
        command.SetAction((result, cancellation) =>
        {
            bool asJson = result.GetValue(json);
            using var output = new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), 64 << 10);
            try
            {
                foreach (InspectedPart part in FileParts.Of(new PosixFileSystem(), Path.GetFullPath(result.GetValue(path)!), result.GetValue(entries)))
                {
                    cancellation.ThrowIfCancellationRequested();
                    output.Write(asJson ? Json(part) : Line(part));
                    output.Write('\n');
                }
            }
            catch (CorruptionException e)
            {
                // As of verify: the answer is no. What was read before it is told.
                throw new RefusedException(e.Message, e);
            }

            return Task.FromResult(ExitCode.Success);
        });
        return command;
    }

    private static string Line(InspectedPart part)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{part.Offset,12} {part.Length,10}  {part.Kind}");
        string separator = ": ";
        foreach ((string name, string value) in part.Fields)
        {
            text.Append(separator).Append(name).Append(' ').Append(value);
            separator = ", ";
        }

        return text.ToString();
    }

    private static string Json(InspectedPart part)
    {
        using var memory = new MemoryStream();
        using (var writer = new Utf8JsonWriter(memory))
        {
            writer.WriteStartObject();
            writer.WriteNumber("offset", part.Offset);
            writer.WriteNumber("length", part.Length);
            writer.WriteString("kind", part.Kind);

            // A name may come several times (a manifest's edit adds several tables): then its values are a list.
            foreach (IGrouping<string, KeyValuePair<string, string>> field in part.Fields.GroupBy(f => f.Key, StringComparer.Ordinal))
            {
                writer.WritePropertyName(field.Key.Replace(' ', '_'));
                if (field.Count() == 1)
                {
                    writer.WriteStringValue(field.First().Value);
                    continue;
                }

                writer.WriteStartArray();
                foreach (KeyValuePair<string, string> one in field)
                    writer.WriteStringValue(one.Value);
                writer.WriteEndArray();
            }

            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(memory.ToArray());
    }
}
