using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Kvasir.Server.Hosting;

namespace Kvasir.Server.Tests.Hosting;

/// <summary>RESP over TLS with certificates made here.</summary>
public sealed class TlsTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("kvasir-tls");
    private readonly X509Certificate2 _authority = Authority("our authority");

    public void Dispose()
    {
        _authority.Dispose();
        _folder.Delete(recursive: true);
    }

    [Fact]
    public async Task AnswersOverTls()
    {
        await using ServedNode served = await ServedNode.Start(Options(clientsNeedCertificates: false));
        using SslStream stream = await Connect(served, certificate: null);

        Assert.Equal("+OK\r\n$5\r\nhello\r\n", await Ask(stream, "SET k hello\r\nGET k\r\n", 16));
    }

    [Fact]
    public async Task ACertificateOfOurAuthorityLetsAClientIn()
    {
        await using ServedNode served = await ServedNode.Start(Options(clientsNeedCertificates: true));
        using X509Certificate2 certificate = Signed("client", _authority);
        using SslStream stream = await Connect(served, certificate);

        Assert.Equal("+PONG\r\n", await Ask(stream, "PING\r\n", 7));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task WithoutOneTheHandshakeEndsAndNoCommandRuns(bool ofAnotherAuthority)
    {
        await using ServedNode served = await ServedNode.Start(Options(clientsNeedCertificates: true));
        using X509Certificate2 stranger = Authority("another authority");
        using X509Certificate2 certificate = Signed("client", stranger);

        // Where in the handshake the refusal shows is up to the platform.
        await Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            using SslStream stream = await Connect(served, ofAnotherAuthority ? certificate : null);
            await Ask(stream, "SET k v\r\n", 5);
        });
        Assert.Equal(0, served.Server.State.Statistics.Commands);
    }

    [Theory]
    [InlineData("server.crt")]
    [InlineData("server.key")]
    public async Task AFileThatIsNoCertificateIsRefusedWithItsReason(string file)
    {
        ServerOptions options = Options(clientsNeedCertificates: false);
        await File.WriteAllTextAsync(Path.Combine(_folder.FullName, file), "nonsense");

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

    private static X509Certificate2 Authority(string name)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=" + name, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, critical: true));
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(2));
    }

    private static X509Certificate2 Signed(string name, X509Certificate2 authority)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=" + name, key, HashAlgorithmName.SHA256);
        SubjectAlternativeNameBuilder names = new();
        names.AddDnsName(name);
        request.CertificateExtensions.Add(names.Build());
        using X509Certificate2 signed = request.Create(
            authority, DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddDays(1), RandomNumberGenerator.GetBytes(8));
        using X509Certificate2 withKey = signed.CopyWithPrivateKey(key);
        return X509CertificateLoader.LoadPkcs12(withKey.Export(X509ContentType.Pkcs12), password: null);
    }

    private async Task<SslStream> Connect(ServedNode served, X509Certificate2? certificate)
    {
        TcpClient client = new();
        await client.ConnectAsync(served.Server.RespTls[0]);
        SslStream stream = new(client.GetStream());
        await stream.AuthenticateAsClientAsync(new SslClientAuthenticationOptions
        {
            TargetHost = "localhost",
            ClientCertificates = certificate is null ? null : [certificate],
            CertificateChainPolicy = new X509ChainPolicy
            {
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                CustomTrustStore = { _authority },
                RevocationMode = X509RevocationMode.NoCheck,
            },
        });
        return stream;
    }

    private ServerOptions Options(bool clientsNeedCertificates)
    {
        using X509Certificate2 server = Signed("localhost", _authority);
        string certificate = Write("server.crt", server.ExportCertificatePem());
        string key = Write("server.key", server.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem());
        string authority = Write("authority.crt", _authority.ExportCertificatePem());
        return new ServerOptions
        {
            Resp = [],
            RespTls = [new IPEndPoint(IPAddress.Loopback, 0)],
            Tls = new TlsFiles(certificate, key, clientsNeedCertificates ? authority : null),
        };
    }

    private string Write(string name, string text)
    {
        string path = Path.Combine(_folder.FullName, name);
        File.WriteAllText(path, text);
        return path;
    }
}
