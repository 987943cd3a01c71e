using System.Globalization;
using System.Text;

namespace Kvasir.Server.Sessions;

/// <summary>The last commands that took long. Inside the mailbox.</summary>
internal sealed class SlowLog
{
    private const int ArgumentsMax = 32;
    private const int ArgumentBytesMax = 128;
    private readonly LinkedList<SlowLogEntry> _entries = [];
    private long _nextId;

    /// <summary>Negative: off.</summary>
    public long ThresholdMicroseconds { get; set; } = 10_000;

    public bool IsOn => ThresholdMicroseconds >= 0;

    public int LengthMax { get; set; } = 128;

    public int Count => _entries.Count;

    /// <summary>Newest first.</summary>
    public IEnumerable<SlowLogEntry> Entries => _entries;

    public void Add(CommandContext context, long nowMs, long microseconds)
    {
        int count = Math.Min(context.ArgumentCount, ArgumentsMax);
        byte[][] arguments = new byte[count][];
        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<byte> argument = Redaction.Hides(context, i) ? Redaction.Text : context.Argument(i);
            if (i == ArgumentsMax - 1 && context.ArgumentCount > ArgumentsMax)
                arguments[i] = Utf8($"... ({context.ArgumentCount - ArgumentsMax + 1} more arguments)");
            else if (argument.Length > ArgumentBytesMax)
                arguments[i] = [.. argument[..ArgumentBytesMax], .. Utf8($"... ({argument.Length - ArgumentBytesMax} more bytes)")];
            else
                arguments[i] = argument.ToArray();
        }

        ClientState client = context.Session.Client;
        _entries.AddFirst(new SlowLogEntry(_nextId++, nowMs / 1000, microseconds, arguments, client.Address, client.Name));
        Trim();
    }

    public void Clear() => _entries.Clear();

    public void Trim()
    {
        while (_entries.Count > LengthMax)
            _entries.RemoveLast();
    }

    private static byte[] Utf8(FormattableString text) => Encoding.UTF8.GetBytes(text.ToString(CultureInfo.InvariantCulture));
}

internal sealed record SlowLogEntry(
    long Id, long UnixSeconds, long Microseconds, byte[][] Arguments, string ClientAddress, byte[] ClientName);
