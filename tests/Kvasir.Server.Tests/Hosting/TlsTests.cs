using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Kvasir.Server.Hosting;
using Kvasir.Server.Sessions;
using Kvasir.Server.Tests.Peers;

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

    [Fact]
    public async Task AKeyOfAnotherCertificateIsRefusedWithItsReason()
    {
        ServerOptions options = _world.Options(clientsNeedCertificates: false);
        (_, string otherKey) = _world.WriteSigned("other");

        StartupException refused = await Assert.ThrowsAsync<StartupException>(
            () => ServedNode.Start(options with { Tls = options.Tls! with { Key = otherKey } }));

        Assert.Contains("certificate", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, null)]
    [InlineData(1000, "expired at ")]
    [InlineData(-10, "is not good before ")]
    public void ACertificateThatIsNotGoodNowIsTold(int years, string? said)
    {
        TlsFiles files = _world.Options(clientsNeedCertificates: false).Tls!;
        RecordedLog log = new();
        ServerCertificates certificates = new(files, new AnotherYear(years), log);
        if (said is null)
        {
            Assert.Equal("", log.ToString());
            return;
        }

        Assert.StartsWith("Warning: " + files.Certificate + " " + said, log.ToString(), StringComparison.Ordinal);

        // Files that a running server is given are looked at, too.
        (string certificate, string key) = _world.WriteSigned("localhost");
        Assert.Null(certificates.Replace(new TlsFiles(certificate, key, null)));
        Assert.Contains(certificate + " " + said, log.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task CertificatesAreReplacedForTheConnectionsThatComeThen()
    {
        await using ServedNode served = await ServedNode.Start(_world.Options(clientsNeedCertificates: false));
        using SslStream before = await _world.Connect(served, certificate: null);
        (string certificate, string key) = _world.WriteSigned("localhost");
        string shown = X509CertificateLoader.LoadCertificateFromFile(certificate).Thumbprint;
        Assert.NotEqual(shown, before.RemoteCertificate!.GetCertHashString());

        // One of the two alone does not belong to the other.
        Assert.StartsWith("-ERR CONFIG SET failed (possibly related to argument 'tls-cert-file') - Unable to update", await AskLine(before, $"CONFIG SET tls-cert-file {certificate}"), StringComparison.Ordinal);
        Assert.StartsWith("-ERR CONFIG SET failed (possibly related to argument 'tls-cert-file') - Unable to update", await AskLine(before, "CONFIG SET tls-cert-file /nowhere"), StringComparison.Ordinal);
        using SslStream between = await _world.Connect(served, certificate: null);
        Assert.NotEqual(shown, between.RemoteCertificate!.GetCertHashString());

        Assert.Equal("+OK", await AskLine(before, $"CONFIG SET tls-cert-file {certificate} tls-key-file {key}"));
        using SslStream after = await _world.Connect(served, certificate: null);
        Assert.Equal(shown, after.RemoteCertificate!.GetCertHashString());
        Assert.Equal("+PONG", await AskLine(after, "PING"));
        Assert.Equal("+PONG", await AskLine(before, "PING"));
    }

    [Fact]
    public async Task ConfigTellsTheTruthOfTlsAndRefusesWhatItCannotChange()
    {
        ServerOptions options = _world.Options(clientsNeedCertificates: true);
        await using ServedNode served = await ServedNode.Start(options);
        using X509Certificate2 client = _world.Signed("client");
        using SslStream stream = await _world.Connect(served, client);

        foreach ((string name, string value) in new[]
        {
            ("tls-auth-clients", "yes"), ("tls-ca-cert-file", options.Tls!.ClientAuthority!), ("tls-cert-file", options.Tls.Certificate),
            ("tls-key-file", options.Tls.Key), ("tls-port", served.Server.RespTls[0].Port.ToString(System.Globalization.CultureInfo.InvariantCulture)),
        })
        {
            string expected = $"*2\r\n${name.Length}\r\n{name}\r\n${value.Length}\r\n{value}\r\n";
            Assert.Equal(expected, await Ask(stream, $"CONFIG GET {name}\r\n", expected.Length));
        }

        foreach (string change in new[] { "tls-auth-clients no", "tls-port 0", "tls-protocols TLSv1.3" })
            Assert.EndsWith("can't set immutable config", await AskLine(stream, "CONFIG SET " + change), StringComparison.Ordinal);
        Assert.Contains("decided at the start", await AskLine(stream, "CONFIG SET tls-ca-cert-file \"\""), StringComparison.Ordinal);
        Assert.Equal("+OK", await AskLine(stream, "CONFIG SET tls-ca-cert-file " + options.Tls.ClientAuthority));
    }

    private static async Task<string> AskLine(SslStream stream, string request)
    {
        await stream.WriteAsync(Encoding.ASCII.GetBytes(request + "\r\n"));
        StringBuilder line = new();
        byte[] one = new byte[1];
        while (!line.ToString().EndsWith("\r\n", StringComparison.Ordinal))
        {
            await stream.ReadExactlyAsync(one);
            line.Append((char)one[0]);
        }

        return line.ToString(0, line.Length - 2);
    }

    private static async Task<string> Ask(SslStream stream, string request, int replyBytes)
    {
        await stream.WriteAsync(Encoding.ASCII.GetBytes(request));
        byte[] reply = new byte[replyBytes];
        await stream.ReadExactlyAsync(reply);
        return Encoding.ASCII.GetString(reply);
    }
}
