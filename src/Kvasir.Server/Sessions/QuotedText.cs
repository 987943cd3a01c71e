using System.Text;
using Kvasir.Primitives;

namespace Kvasir.Server.Sessions;

/// <summary>Bytes for a person, as Redis quotes them in MONITOR and DEBUG.</summary>
internal static class QuotedText
{
    public static void Append(BytesBuffer line, ReadOnlySpan<byte> bytes)
    {
        line.Append((byte)'"');
        foreach (byte b in bytes)
        {
            switch (b)
            {
                case (byte)'\\' or (byte)'"':
                    line.Append((byte)'\\');
                    line.Append(b);
                    break;
                case (byte)'\n':
                    line.Append("\\n"u8);
                    break;
                case (byte)'\r':
                    line.Append("\\r"u8);
                    break;
                case (byte)'\t':
                    line.Append("\\t"u8);
                    break;
                case (byte)'\a':
                    line.Append("\\a"u8);
                    break;
                case (byte)'\b':
                    line.Append("\\b"u8);
                    break;
                case >= 0x20 and < 0x7F:
                    line.Append(b);
                    break;
                default:
                    line.Append(Encoding.ASCII.GetBytes($"\\x{b:x2}"));
                    break;
            }
        }

        line.Append((byte)'"');
    }
}
