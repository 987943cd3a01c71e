using Kvasir.Cluster.Transport;
using Kvasir.Server.Hosting;
using Kvasir.Server.Peers;
using Kvasir.Server.Sessions;
using Kvasir.Server.Tests.Hosting;

namespace Kvasir.Server.Tests.Peers;

/// <summary>Nodes that prove to each other that they belong together.</summary>
public sealed class PeerTlsTests : IDisposable
{
    private readonly TlsWorld _ours = new(), _others = new();

    public void Dispose()
    {
        _ours.Dispose();
        _others.Dispose();
    }

    [Fact]
    public async Task NodesOfOneAuthorityTalk()
    {
        using PeerNode a = new(1, Secure(_ours)), b = new(2, Secure(_ours)), joining = new(0, Secure(_ours));
        PeerNode.Introduce(a, b);
        for (int i = 0; i < 1000; i++)
            a.SendAll(2, BitConverter.GetBytes(i));
        a.SendAll(2, new byte[5 << 20]);
        b.Send(1, "back");
        b.Heard.WaitMessages(1001);
        a.Heard.WaitMessage("back");
        Assert.Equal(Enumerable.Range(0, 1000), b.Heard.From(1).Take(1000).Select(m => BitConverter.ToInt32(m)));
        b.Heard.OnCall = (ticket, request) => b.Transport.Answer(ticket, request);
        TaskCompletionSource<CallReply> asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
        joining.Transport.Call(b.Address, [1], TimeSpan.FromSeconds(60), asked.SetResult);
        CallReply reply = await asked.Task.WaitAsync(TimeSpan.FromSeconds(120));
        Assert.Equal(CallOutcome.Answered, reply.Outcome);
    }

    [Fact]
    public void AReasonComesThroughToo()
    {
        using PeerNode a = new(1, Secure(_ours)), b = new(2, Secure(_ours), cluster: 9);
        a.Transport.SetPeers([b.Address]);
        a.Log.Wait("it refuses: it belongs to cluster");
    }

    [Fact]
    public void ALinkThatEndsIsMadeAgain()
    {
        using PeerNode a = new(1, Secure(_ours));
        PeerNode b = new(2, Secure(_ours));
        int port = b.Transport.EndPoint.Port;

        // It does not know where the other is, and greets nobody: a greeting that is read when the link has ended makes one more.
        a.Transport.SetPeers([b.Address]);
        a.Heard.WaitTold("+2");
        b.Dispose();
        a.Heard.WaitTold("+2 -2");
        using PeerNode again = new(2, Secure(_ours, port));
        a.Heard.WaitTold("+2 -2 +2");
        again.Heard.WaitTold("+1");
    }

    [Fact]
    public void ANodeOfAnotherAuthorityIsRefusedByBoth()
    {
        using PeerNode a = new(1, Secure(_ours)), b = new(2, Secure(_others));
        a.Transport.SetPeers([b.Address]);
        b.Transport.SetPeers([a.Address]);
        a.Log.Wait("node 2 cannot be reached");
        b.Log.Wait("node 1 cannot be reached");

        // Whoever listened says what is wrong, and who connected where to look.
        a.Log.Wait("the certificate that the other side shows (");
        b.Log.Wait("the certificate that the other side shows (");
        Assert.Equal(("", ""), (a.Heard.Told, b.Heard.Told));
    }

    [Fact]
    public void WithoutACertificateNobodyGetsIn()
    {
        using PeerNode a = new(1, Secure(_ours)), b = new(2);
        b.Transport.SetPeers([a.Address]);
        b.Log.Wait("node 1 cannot be reached");
        a.Log.Wait("is refused: TLS: no handshake, as with a node that has no certificates");
        a.Transport.SetPeers([b.Address]);
        b.Log.Wait("it speaks TLS, and this node has no certificates");
        Assert.Equal(("", ""), (a.Heard.Told, b.Heard.Told));
    }

    [Fact]
    public void AFileThatIsNoCertificateIsToldAtOnce()
    {
        TcpTransportOptions options = Secure(_ours);
        File.WriteAllText(options.Certificates!.Key, "nonsense");
        Assert.ThrowsAny<System.Security.Cryptography.CryptographicException>(() => new PeerNode(1, options));
    }

    [Fact]
    public void ACertificateThatHasExpiredIsToldAtTheStart()
    {
        using PeerNode node = new(1, Secure(_ours), time: new AnotherYear(1000));
        node.Log.Wait("expired at ");
    }

    [Fact]
    public void ACertificateThatIsNotGoodYetIsToldAtTheStart()
    {
        using PeerNode node = new(1, Secure(_ours), time: new AnotherYear(-10));
        node.Log.Wait("is not good before ");
    }

    private static TcpTransportOptions Secure(TlsWorld world, int port = 0)
    {
        TlsFiles files = world.Options(clientsNeedCertificates: true).Tls!;
        return PeerNode.Options(port) with { Certificates = new PeerCertificateFiles(files.Certificate, files.Key, files.ClientAuthority!) };
    }
}
