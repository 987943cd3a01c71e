using Kvasir.Server.Sessions;

namespace Kvasir.Server.Transport;

/// <summary>Who may come in at one of Kestrel's ports. Thread-safe.</summary>
internal abstract class ConnectionAdmission
{
    /// <summary>What one that may not is told before it is closed; empty where it could not read it.</summary>
    public abstract byte[] Refusal { get; }

    /// <summary>False: it is to be closed.</summary>
    public abstract bool Enter();

    public abstract void Leave();
}

/// <summary>Clients of RESP, who count with those of the event loops.</summary>
/// <param name="server">Whose clients they are.</param>
/// <param name="tls">Nothing can be said before the handshake, and that is not begun with who may not stay, as in Redis.</param>
internal sealed class ClientAdmission(ServerState server, bool tls) : ConnectionAdmission
{
    public override byte[] Refusal => tls ? [] : ConnectionRefusal.TooMany;

    public override bool Enter()
    {
        if (server.Connections.TryEnter())
            return true;
        server.Statistics.ConnectionRejected();
        return false;
    }

    public override void Leave() => server.Connections.Leave();
}

/// <summary>HTTP, whose connections have a number of their own: probes must come in when clients are as many as may be.</summary>
internal sealed class HttpAdmission(int most) : ConnectionAdmission
{
    private int _open;

    public override byte[] Refusal => ConnectionRefusal.TooManyOfHttp;

    public override bool Enter()
    {
        if (Interlocked.Increment(ref _open) <= most)
            return true;
        Leave();
        return false;
    }

    public override void Leave() => Interlocked.Decrement(ref _open);
}
