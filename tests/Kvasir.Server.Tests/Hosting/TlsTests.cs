using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Kvasir.Server.Hosting;

namespace Kvasir.Server.Tests.Hosting;

/// <summary>RESP over TLS with certificates made here.</summary>
public sealed class TlsTests : IDisposable
{
    private readonly TlsWorld _world = new();

    public void Dispose() => _world.Dispose();

    [Fact]
    public async Task AnswersOverTls()
    {
        await using ServedNode served = await ServedNode.Start(_world.Options(clientsNeedCertificates: false));
        using SslStream stream = await _world.Connect(served, certificate: null);

        Assert.Equal("+OK\r\n$5\r\nhello\r\n", await Ask(stream, "SET k hello\r\nGET k\r\n", 16));
    }

    [Fact]
    public async Task ACertificateOfOurAuthorityLetsAClientIn()
    {
        await using ServedNode served = await ServedNode.Start(_world.Options(clientsNeedCertificates: true));
        using X509Certificate2 certificate = _world.Signed("client");
        using SslStream stream = await _world.Connect(served, certificate);

        Assert.Equal("+PONG\r\n", await Ask(stream, "PING\r\n", 7));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task WithoutOneTheHandshakeEndsAndNoCommandRuns(bool ofAnotherAuthority)
    {
        await using ServedNode served = await ServedNode.Start(_world.Options(clientsNeedCertificates: true));
        using X509Certificate2 stranger = TlsWorld.Authority("another authority");
        using X509Certificate2 certificate = TlsWorld.Signed("client", stranger);

        // Where in the handshake the refusal shows is up to the platform.
        await Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            using SslStream stream = await _world.Connect(served, ofAnotherAuthority ? certificate : null);
            await Ask(stream, "SET k v\r\n", 5);
        });
        Assert.Equal(0, served.Server.State.Statistics.Commands);
    }

    [Theory]
    [InlineData("server.crt")]
    [InlineData("server.key")]
    public async Task AFileThatIsNoCertificateIsRefusedWithItsReason(string file)
    {
        ServerOptions options = _world.Options(clientsNeedCertificates: false);
        await File.WriteAllTextAsync(Path.Combine(_world.Folder, file), "nonsense");

        StartupException refused = await Assert.ThrowsAsync<StartupException>(() => ServedNode.Start(options));

        Assert.Contains("certificate", refused.Message, StringComparison.Ordinal);
    }

    private static async Task<string> Ask(SslStream stream, string request, int replyBytes)
    {
        await stream.WriteAsync(Encoding.ASCII.GetBytes(request));
        byte[] reply = new byte[replyBytes];
        await stream.ReadExactlyAsync(reply);
        return Encoding.ASCII.GetString(reply);
    }
}
