using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Kvasir.Simulation.Histories;

/// <summary>How a history is written down; one event a line in both.</summary>
public enum HistoryFormat
{
    /// <summary>Jepsen's: <c>{:process 0, :type :invoke, :f :write, :key "x", :value 1, :time 12}</c>.</summary>
    Edn,

    /// <summary><c>{"process":0,"type":"invoke","f":"write","key":"x","value":1,"time":12}</c>.</summary>
    Json,
}

/// <summary>Histories as files. What is written reads back equal; what is read may have fields more, and none that lie.</summary>
public static class HistoryFiles
{
    private static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>In which format a file of this name is written: <c>.edn</c> is Jepsen's, everything else JSON lines.</summary>
    public static HistoryFormat FormatOf(string file) =>
        file.EndsWith(".edn", StringComparison.OrdinalIgnoreCase) ? HistoryFormat.Edn : HistoryFormat.Json;

    public static void Write(TextWriter destination, HistoryFormat format, IEnumerable<HistoryEvent> events)
    {
        var line = new StringBuilder();
        var json = new ArrayBufferWriter<byte>();
        foreach (HistoryEvent e in events)
        {
            line.Clear();
            if (format == HistoryFormat.Edn)
                AppendEdn(line, e);
            else
                AppendJson(line, json, e);
            destination.Write(line.Append('\n'));
        }
    }

    /// <summary>Reads either format, line by line as it stands there; throws <see cref="HistoryFormatException"/>.</summary>
    public static List<HistoryEvent> Read(TextReader source)
    {
        var events = new List<HistoryEvent>();
        int number = 0;
        while (source.ReadLine() is { } line)
        {
            number++;
            ReadOnlySpan<char> text = line.AsSpan().Trim();
            if (text.IsEmpty || text[0] == ';')
                continue;
            var fields = default(HistoryFields);
            if (IsJson(text))
                ReadJson(line, number, ref fields);
            else
                new EdnReader(line, number).ReadEvent(ref fields);
            if (fields.TryMake(number, out HistoryEvent made))
                events.Add(made);
        }

        return events;
    }

    internal static bool IsText(string text)
    {
        try
        {
            s_strict.GetByteCount(text);
            return true;
        }
        catch (EncoderFallbackException)
        {
            return false;
        }
    }

    /// <summary>A JSON object's first name is quoted, a map's of EDN is a keyword.</summary>
    private static bool IsJson(ReadOnlySpan<char> line)
    {
        if (line[0] != '{')
            return false;
        ReadOnlySpan<char> rest = line[1..].TrimStart();
        return rest.Length > 0 && rest[0] is '"' or '}';
    }

    private static void AppendEdn(StringBuilder line, in HistoryEvent e)
    {
        line.Append(CultureInfo.InvariantCulture, $"{{:process {e.Process}, :type :{HistoryWords.Of(e.Kind)}, :f :{HistoryWords.Of(e.Operation)}, :key ");
        Edn.AppendText(line, e.Key);
        line.Append(", :value ");
        Edn.Append(line, e.Value);
        line.Append(CultureInfo.InvariantCulture, $", :time {e.TimeNs}");
        if (e.AgeNs is { } age)
            line.Append(CultureInfo.InvariantCulture, $", :age {age}");
        line.Append('}');
    }

    private static void AppendJson(StringBuilder line, ArrayBufferWriter<byte> buffer, in HistoryEvent e)
    {
        buffer.ResetWrittenCount();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteNumber("process", e.Process);
            writer.WriteString("type", HistoryWords.Of(e.Kind));
            writer.WriteString("f", HistoryWords.Of(e.Operation));
            writer.WriteString("key", e.Key);
            writer.WritePropertyName("value");
            WriteJson(writer, e.Value);
            writer.WriteNumber("time", e.TimeNs);
            if (e.AgeNs is { } age)
                writer.WriteNumber("age", age);
            writer.WriteEndObject();
        }

        line.Append(Encoding.UTF8.GetString(buffer.WrittenSpan));
    }

    private static void WriteJson(Utf8JsonWriter writer, HistoryValue value)
    {
        if (value.IsNil)
        {
            writer.WriteNullValue();
        }
        else if (value.IsNumber)
        {
            writer.WriteNumberValue(value.Number);
        }
        else if (value.IsText)
        {
            writer.WriteStringValue(value.Text);
        }
        else
        {
            writer.WriteStartArray();
            foreach (HistoryValue element in value.List)
                WriteJson(writer, element);
            writer.WriteEndArray();
        }
    }

    private static void ReadJson(string line, int number, ref HistoryFields fields)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            foreach (JsonProperty field in document.RootElement.EnumerateObject())
                fields.Take(field.Name, FromJson(field.Value, number), number);
        }
        catch (JsonException e)
        {
            throw new HistoryFormatException(number, string.Create(CultureInfo.InvariantCulture, $"column {e.BytePositionInLine + 1}: this is no JSON"));
        }
        catch (InvalidOperationException)
        {
            throw new HistoryFormatException(number, "a text has half of a surrogate pair");
        }
    }

    private static HistoryValue FromJson(JsonElement element, int number) => element.ValueKind switch
    {
        JsonValueKind.Null => HistoryValue.Nil,
        JsonValueKind.String => HistoryValue.Of(element.GetString()!),
        JsonValueKind.Number => element.TryGetInt64(out long whole)
            ? HistoryValue.Of(whole)
            : throw new HistoryFormatException(number, $"'{element.GetRawText()}' is no whole number of 64 bits"),
        JsonValueKind.Array => HistoryValue.Of([.. element.EnumerateArray().Select(e => FromJson(e, number))]),
        JsonValueKind.Object => HistoryValue.Of(
            [.. element.EnumerateObject().Select(p => HistoryValue.Of(HistoryValue.Of(p.Name), FromJson(p.Value, number)))]),
        _ => throw new HistoryFormatException(number, $"'{element.GetRawText()}' is no value that histories have"),
    };
}
