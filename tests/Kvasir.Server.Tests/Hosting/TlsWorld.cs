using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Kvasir.Server.Hosting;
using Kvasir.Server.Sessions;

namespace Kvasir.Server.Tests.Hosting;

/// <summary>An authority with its certificates, made here, and the files of a server that has one.</summary>
internal sealed class TlsWorld : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("kvasir-tls");
    private readonly X509Certificate2 _authority = Authority("our authority");

    public string Folder => _folder.FullName;

    public void Dispose()
    {
        _authority.Dispose();
        _folder.Delete(recursive: true);
    }

    public X509Certificate2 Signed(string name) => Signed(name, _authority);

    public static X509Certificate2 Authority(string name)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=" + name, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, critical: true));
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(2));
    }

    public static X509Certificate2 Signed(string name, X509Certificate2 authority)
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

    public async Task<SslStream> Connect(ServedNode served, X509Certificate2? certificate)
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

    public ServerOptions Options(bool clientsNeedCertificates)
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

    /// <summary>Another certificate of our authority, in files.</summary>
    public (string Certificate, string Key) WriteSigned(string name)
    {
        using X509Certificate2 signed = Signed(name);
        return (Write("another.crt", signed.ExportCertificatePem()), Write("another.key", signed.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem()));
    }

    private string Write(string name, string text)
    {
        string path = Path.Combine(Folder, name);
        File.WriteAllText(path, text);
        return path;
    }
}
