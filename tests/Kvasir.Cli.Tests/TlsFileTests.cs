using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Kvasir.Cli.Tests;

/// <summary>A certificate with a key that is not its own: mixed up by whoever renewed them.</summary>
public sealed class TlsFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("resp-tls", "", false)]
    [InlineData("resp-tls", "", true)]
    [InlineData("peer", "peer-", false)]
    [InlineData("peer", "peer-", true)]
    public async Task AKeyOfAnotherCertificateIsSaidInOneLine(string endpoint, string prefix, bool otherKind)
    {
        using ECDsa own = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using AsymmetricAlgorithm other = otherKind ? RSA.Create(2048) : ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 certificate = new CertificateRequest("CN=a", own, HashAlgorithmName.SHA256)
            .CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(2));
        await File.WriteAllTextAsync(_folder + "/c.pem", certificate.ExportCertificatePem());
        await File.WriteAllTextAsync(_folder + "/k.pem", other.ExportPkcs8PrivateKeyPem());

        Outcome outcome = await KvasirProcess.Run([
            "server", "--data", _folder + "/data", "--resp", "127.0.0.1:0", "--log-level", "error", "--" + endpoint, "127.0.0.1:0",
            $"--{prefix}tls-cert-file", _folder + "/c.pem", $"--{prefix}tls-key-file", _folder + "/k.pem", $"--{prefix}tls-ca-cert-file", _folder + "/c.pem", .. endpoint == "peer" ? ["--resp-advertise", "127.0.0.1:1"] : Array.Empty<string>()]);
        Assert.Contains(endpoint == "peer" ? "peer-tls: " : "cannot use the certificate files: ", outcome.AssertUsageError(), StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder + "/data"));
    }
}
