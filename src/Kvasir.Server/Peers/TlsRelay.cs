using System.Buffers;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using Kvasir.Server.Transport;

namespace Kvasir.Server.Peers;

/// <summary>
/// Stands between a socket that speaks TLS and the loop, which does not: the loop has the other end of a pair of sockets, and
/// the same code as in the clear. Costs two more copies and a change of threads; the cipher costs more.
/// </summary>
internal sealed class TlsRelay(PeerTls tls, int outside, int inside, bool asServer, TimeSpan greetingMax)
{
    private const int BufferBytes = 64 << 10;

    private const string Unsaid = "TLS: the other side ended the connection before it said anything: it may not take this node's certificate, and its log says why";

    private volatile string? _trouble;
    private volatile bool _isMistrust;
    private volatile bool _hasHeard;

    /// <summary>Why it ended; null when one of the two sides just closed. Set before the loop's end is closed.</summary>
    public string? Trouble => _trouble;

    /// <summary>It ended because the other side showed no certificate, or none that is taken: not for want of a network.</summary>
    public bool IsMistrust => _isMistrust;

    public void Start()
    {
        LinuxCalls.SetBlocking(outside);
        _ = Task.Run(Run);
    }

    private async Task Run()
    {
        using Socket plain = new(new SafeSocketHandle(inside, ownsHandle: true));
        string? objection = null;
        bool isSecure = false;
        try
        {
            using Socket socket = new(new SafeSocketHandle(outside, ownsHandle: true));
            await using SslStream secure = new(new NetworkStream(socket, ownsSocket: false));
            using (CancellationTokenSource limit = new(greetingMax))
            {
                if (asServer)
                    await secure.AuthenticateAsServerAsync(tls.AsServer(o => objection = o), limit.Token);
                else
                    await secure.AuthenticateAsClientAsync(tls.AsClient(o => objection = o), limit.Token);
            }

            isSecure = true;
            Task inwards = Inwards(secure, plain);
            Task outwards = Outwards(plain, secure);
            Task first = await Task.WhenAny(inwards, outwards);

            // The other of the two ends with the sockets, in whatever way.
            _ = (first == inwards ? outwards : inwards).ContinueWith(static t => t.Exception, TaskScheduler.Default);
            await first;
            if (first == outwards)
                await secure.ShutdownAsync();
            else if (!_hasHeard)
                _trouble = Unsaid;
        }
        catch (Exception e) when (e is AuthenticationException or IOException or SocketException or ObjectDisposedException or OperationCanceledException)
        {
            // Who connects is done with the handshake before the other side has looked at its certificate (TLS 1.3).
            _isMistrust = !isSecure && e is AuthenticationException;
            _trouble = objection is not null ? "TLS: " + objection
                : isSecure && !_hasHeard ? Unsaid
                : _isMistrust && asServer ? "TLS: no handshake, as with a node that has no certificates: " + e.Message
                : "TLS: " + (e.InnerException is AuthenticationException inner ? inner.Message : e.Message);
        }
    }

    private async Task Inwards(SslStream secure, Socket plain)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        int count;
        while ((count = await secure.ReadAsync(buffer)) > 0)
        {
            _hasHeard = true;
            for (int sent = 0; sent < count;)
                sent += await plain.SendAsync(buffer.AsMemory(sent, count - sent));
        }

        ArrayPool<byte>.Shared.Return(buffer);
    }

    private static async Task Outwards(Socket plain, SslStream secure)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        int count;
        while ((count = await plain.ReceiveAsync(buffer)) > 0)
            await secure.WriteAsync(buffer.AsMemory(0, count));
        ArrayPool<byte>.Shared.Return(buffer);
    }
}
