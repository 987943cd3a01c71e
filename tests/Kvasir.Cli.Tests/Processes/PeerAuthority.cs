using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>An authority of its own, and the flags of nodes with certificates of it, in files.</summary>
internal sealed class PeerAuthority : IDisposable
{
    private readonly string _folder;
    private readonly X509Certificate2 _authority;

    public PeerAuthority(string folder)
    {
        _folder = Directory.CreateDirectory(folder).FullName;
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=authority of " + Path.GetFileName(folder), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, false, 0, critical: true));
        _authority = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(2));
        Write("ca.crt", _authority.ExportCertificatePem());
    }

    /// <summary>For a node with a certificate of its own.</summary>
    public string[] FlagsFor(string node)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=" + node, key, HashAlgorithmName.SHA256);
        using X509Certificate2 signed = request.Create(
            _authority, DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddDays(1), RandomNumberGenerator.GetBytes(8));
        return
        [
            "--peer-tls-cert-file", Write(node + ".crt", signed.ExportCertificatePem()),
            "--peer-tls-key-file", Write(node + ".key", key.ExportPkcs8PrivateKeyPem()),
            "--peer-tls-ca-cert-file", Path.Combine(_folder, "ca.crt"),
        ];
    }

    public void Dispose() => _authority.Dispose();

    private string Write(string name, string pem)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllText(path, pem);
        return path;
    }
}
