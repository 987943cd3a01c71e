using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Shell;

/// <summary>Replies as text: as redis-cli shows them on a terminal, plainly for pipes, and as JSON.</summary>
internal static class ReplyText
{
    private static readonly JsonWriterOptions s_json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Types named, strings quoted, lists numbered and indented.</summary>
    public static string Pretty(RespReply reply)
    {
        var text = new StringBuilder();
        Pretty(text, reply, indent: 0);
        return text.ToString();
    }

    /// <summary>The bytes and nothing else, one element a line: what a script reads.</summary>
    public static void Raw(RespReply reply, Stream output)
    {
        if (!reply.IsAggregate)
        {
            output.Write(reply.Bytes);
            output.WriteByte((byte)'\n');
            return;
        }

        foreach (RespReply item in reply.Items)
            Raw(item, output);
    }

    public static string Json(RespReply reply)
    {
        using var memory = new MemoryStream();
        using (var writer = new Utf8JsonWriter(memory, s_json))
            Json(writer, reply);
        return Encoding.UTF8.GetString(memory.ToArray());
    }

    /// <summary>In double quotes, with C escapes for what is not printable ASCII or valid UTF-8.</summary>
    public static string Quote(ReadOnlySpan<byte> bytes)
    {
        var text = new StringBuilder("\"");
        while (!bytes.IsEmpty)
        {
            System.Buffers.OperationStatus status = Rune.DecodeFromUtf8(bytes, out Rune rune, out int used);
            if (status != System.Buffers.OperationStatus.Done || Rune.IsControl(rune))
            {
                foreach (byte b in bytes[..used])
                {
                    text.Append(b switch
                    {
                        (byte)'\n' => "\\n",
                        (byte)'\r' => "\\r",
                        (byte)'\t' => "\\t",
                        7 => "\\a",
                        8 => "\\b",
                        _ => "\\x" + b.ToString("x2", CultureInfo.InvariantCulture),
                    });
                }
            }
            else
            {
                if (rune.Value is '"' or '\\')
                    text.Append('\\');
                text.Append(rune.ToString());
            }

            bytes = bytes[used..];
        }

        return text.Append('"').ToString();
    }

    private static void Pretty(StringBuilder text, RespReply reply, int indent)
    {
        switch (reply.Kind)
        {
            case RespReplyKind.Null: text.Append("(nil)"); break;
            case RespReplyKind.SimpleString: text.Append(reply.Text); break;
            case RespReplyKind.Error: text.Append("(error) ").Append(reply.Text); break;
            case RespReplyKind.Integer: text.Append("(integer) ").Append(reply.Text); break;
            case RespReplyKind.Double: text.Append("(double) ").Append(reply.Text); break;
            case RespReplyKind.BigNumber: text.Append("(big number) ").Append(reply.Text); break;
            case RespReplyKind.Boolean: text.Append(reply.Text == "t" ? "(true)" : "(false)"); break;
            case RespReplyKind.Verbatim: text.Append(reply.Text); break;
            case RespReplyKind.BulkString: text.Append(Quote(reply.Bytes)); break;
            case RespReplyKind.Map: Pairs(text, reply, indent); break;
            default: List(text, reply, indent); break;
        }
    }

    private static void List(StringBuilder text, RespReply reply, int indent)
    {
        if (reply.Items.Count == 0)
            text.Append(reply.Kind == RespReplyKind.Set ? "(empty set)" : "(empty array)");
        int width = reply.Items.Count.ToString(CultureInfo.InvariantCulture).Length;
        for (int i = 0; i < reply.Items.Count; i++)
        {
            if (i > 0)
                text.Append('\n').Append(' ', indent);
            string number = (i + 1).ToString(CultureInfo.InvariantCulture).PadLeft(width);
            text.Append(number).Append(reply.Kind == RespReplyKind.Set ? "~ " : ") ");
            Pretty(text, reply.Items[i], indent + width + 2);
        }
    }

    private static void Pairs(StringBuilder text, RespReply reply, int indent)
    {
        if (reply.Items.Count == 0)
            text.Append("(empty hash)");
        int width = (reply.Items.Count / 2).ToString(CultureInfo.InvariantCulture).Length;
        for (int i = 0; i < reply.Items.Count; i += 2)
        {
            if (i > 0)
                text.Append('\n').Append(' ', indent);
            text.Append(((i / 2) + 1).ToString(CultureInfo.InvariantCulture).PadLeft(width)).Append("# ");
            Pretty(text, reply.Items[i], indent + width + 2);
            text.Append(" => ");
            RespReply value = reply.Items[i + 1];
            if (value.IsAggregate && value.Items.Count > 0)
                text.Append('\n').Append(' ', indent + width + 5);
            Pretty(text, value, indent + width + 5);
        }
    }

    private static void Json(Utf8JsonWriter writer, RespReply reply)
    {
        switch (reply.Kind)
        {
            case RespReplyKind.Null: writer.WriteNullValue(); break;
            case RespReplyKind.Boolean: writer.WriteBooleanValue(reply.Text == "t"); break;
            case RespReplyKind.Integer or RespReplyKind.BigNumber: writer.WriteRawValue(reply.Bytes); break;
            case RespReplyKind.Double:
                if (double.TryParse(reply.Text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && double.IsFinite(number))
                    writer.WriteNumberValue(number);
                else
                    writer.WriteStringValue(reply.Text);
                break;
            case RespReplyKind.Error:
                writer.WriteStartObject();
                writer.WriteString("error", reply.Text);
                writer.WriteEndObject();
                break;
            case RespReplyKind.Map:
                writer.WriteStartObject();
                for (int i = 0; i < reply.Items.Count; i += 2)
                {
                    writer.WritePropertyName(reply.Items[i].Text);
                    Json(writer, reply.Items[i + 1]);
                }

                writer.WriteEndObject();
                break;
            case RespReplyKind.Array or RespReplyKind.Set or RespReplyKind.Push:
                writer.WriteStartArray();
                foreach (RespReply item in reply.Items)
                    Json(writer, item);
                writer.WriteEndArray();
                break;
            default: writer.WriteStringValue(reply.Text); break;
        }
    }
}
