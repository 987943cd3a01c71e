using System.Net;
using Kvasir.Cluster.Transport;
using Kvasir.Wire.Peers;

namespace Kvasir.Server.Peers;

/// <content>Questions on connections of their own.</content>
internal sealed partial class PeerLoop
{
    public void Call(PeerAddress to, byte[] request, TimeSpan patience, Action<CallReply> done)
    {
        OutgoingCall call = new(to, request, _nowMs + (long)patience.TotalMilliseconds, done);
        if (IPAddress.TryParse(to.Host, out IPAddress? ip))
            Begin(call, new IPEndPoint(ip, to.Port), "");
        else
            Resolve(to, (endPoint, trouble) => Begin(call, endPoint, trouble));
    }

    public void Answer(CallTicket ticket, byte[] reply)
    {
        if (!_connections.TryGetValue(ticket.Value, out PeerConnection? connection) || connection.Stage != PeerStage.OwesAnswer)
            return;
        connection.Stage = PeerStage.Answered;
        connection.Output.Add(PeerFrameKind.Answer, reply, waits: false);

        // The one who asked closes.
        connection.DeadlineMs = _nowMs + (long)_options.GreetingMax.TotalMilliseconds;
        SweepBy(connection.DeadlineMs);
    }

    private void Begin(OutgoingCall call, IPEndPoint? endPoint, string trouble)
    {
        PeerConnection? connection = endPoint is null ? null : Connect(endPoint, out trouble);
        if (connection is null)
        {
            call.Done(new CallReply(CallOutcome.Failed, default, trouble));
            return;
        }

        connection.Call = call;
        connection.DeadlineMs = Math.Min(call.DeadlineMs, _nowMs + (long)_options.GreetingMax.TotalMilliseconds);
        SweepBy(connection.DeadlineMs);
    }

    private void Ask(PeerConnection connection)
    {
        connection.Stage = PeerStage.AwaitsAnswer;
        connection.DeadlineMs = connection.Call!.DeadlineMs;
        SweepBy(connection.DeadlineMs);
        connection.Output.Add(PeerFrameKind.Call, connection.Call.Request, waits: false);
    }

    private void TakeCall(PeerConnection connection, ReadOnlySpan<byte> request)
    {
        connection.Stage = PeerStage.OwesAnswer;
        connection.DeadlineMs = _nowMs + (long)_options.CallMax.TotalMilliseconds;
        SweepBy(connection.DeadlineMs);
        try
        {
            _listener.Called(new CallTicket(connection.Token), request);
        }
        catch (MalformedMessageException e)
        {
            Malformed(connection, e.Message);
        }
    }

    private void TakeAnswer(PeerConnection connection, ReadOnlySpan<byte> reply)
    {
        OutgoingCall call = connection.Call!;
        connection.Call = null;
        byte[] bytes = reply.ToArray();
        Close(connection, "the question is answered");
        call.Done(new CallReply(CallOutcome.Answered, bytes, ""));
    }
}
