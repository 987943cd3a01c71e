using System.Text;
using Kvasir.Cluster.Transport;

namespace Kvasir.Server.Tests.Peers;

/// <summary>Writes down what a transport tells; tests wait for it.</summary>
internal sealed class PeerRecorder : ITransportListener
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);

    private readonly object _gate = new();
    private readonly List<string> _told = [];
    private readonly List<(NodeId From, byte[] Bytes)> _messages = [];
    private readonly List<(CallTicket Ticket, byte[] Request)> _calls = [];

    /// <summary>Runs in the transport's thread, before a message is written down.</summary>
    public Action<NodeId, byte[]>? OnMessage { get; set; }

    public Action<CallTicket, byte[]>? OnCall { get; set; }

    public Action? OnSettled { get; set; }

    /// <summary>Whom it was told to be connected and not connected, and where there is room, in order: "+2", "-2", "w2".</summary>
    public string Told
    {
        get
        {
            lock (_gate)
                return string.Join(' ', _told);
        }
    }

    public List<(NodeId From, byte[] Bytes)> Messages
    {
        get
        {
            lock (_gate)
                return [.. _messages];
        }
    }

    public IEnumerable<byte[]> From(ulong node) => Messages.Where(m => m.From.Value == node).Select(m => m.Bytes);

    public void Received(NodeId from, ReadOnlySpan<byte> message)
    {
        byte[] copy = message.ToArray();
        OnMessage?.Invoke(from, copy);
        Note(() => _messages.Add((from, copy)));
    }

    public void Settled() => OnSettled?.Invoke();

    public void Connected(NodeId peer) => Note(() => _told.Add($"+{peer}"));

    public void Disconnected(NodeId peer) => Note(() => _told.Add($"-{peer}"));

    public void Writable(NodeId peer) => Note(() => _told.Add($"w{peer}"));

    public void Called(CallTicket call, ReadOnlySpan<byte> request)
    {
        byte[] copy = request.ToArray();
        OnCall?.Invoke(call, copy);
        Note(() => _calls.Add((call, copy)));
    }

    public void WaitTold(string told) => Wait(() => string.Join(' ', _told) == told, () => $"waited for '{told}', was told '{string.Join(' ', _told)}'");

    public void WaitToldLast(string told) => Wait(() => _told.Count > 0 && _told[^1] == told, () => $"waited for '{told}', was told '{string.Join(' ', _told)}'");

    public void WaitToldTimes(string told, int times) =>
        Wait(() => _told.Count(t => t == told) >= times, () => $"waited for {times} times '{told}', was told '{string.Join(' ', _told)}'");

    public void WaitToldAmongOthers(string told) => Wait(() => _told.Contains(told), () => $"waited for '{told}', was told '{string.Join(' ', _told)}'");

    public void WaitMessages(int count) => Wait(() => _messages.Count >= count, () => $"waited for {count} messages, {_messages.Count} came; told '{string.Join(' ', _told)}'");

    public void WaitMessage(string text) => Wait(() => _messages.Exists(m => Encoding.UTF8.GetString(m.Bytes) == text), () => $"waited for the message '{text}'");

    public (CallTicket Ticket, byte[] Request) WaitCall()
    {
        Wait(() => _calls.Count > 0, () => "waited for a call");
        lock (_gate)
            return _calls[0];
    }

    private void Note(Action note)
    {
        lock (_gate)
        {
            note();
            Monitor.PulseAll(_gate);
        }
    }

    private void Wait(Func<bool> condition, Func<string> explain)
    {
        long until = Environment.TickCount64 + (long)s_patience.TotalMilliseconds;
        lock (_gate)
        {
            while (!condition())
            {
                long left = until - Environment.TickCount64;
                if (left <= 0 || !Monitor.Wait(_gate, (int)left))
                    Assert.Fail(explain());
            }
        }
    }
}
