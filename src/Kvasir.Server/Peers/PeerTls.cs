using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Kvasir.Server.Peers;

/// <summary>
/// How nodes prove to each other that they belong together: each shows a certificate of one authority, and believes only
/// those. Names in certificates do not matter; which node it is, the greeting says.
/// </summary>
internal sealed class PeerTls
{
    private readonly X509Certificate2Collection _authorities = [];
    private readonly SslStreamCertificateContext _certificate;

    private PeerTls(PeerCertificateFiles files)
    {
        // The key makes the first certificate the node's; the others of the file lead to the authority.
        X509Certificate2 certificate = PemCertificate.Read(files.Certificate, files.Key);
        X509Certificate2Collection chain = [];
        chain.ImportFromPemFile(files.Certificate);
        _authorities.ImportFromPemFile(files.Authority);
        if (_authorities.Count == 0)
            throw new CryptographicException($"{files.Authority} holds no certificate of an authority");
        _certificate = SslStreamCertificateContext.Create(certificate, chain, offline: true);
    }

    /// <exception cref="CryptographicException">A file does not hold what it should.</exception>
    /// <exception cref="IOException">A file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">Likewise.</exception>
    public static PeerTls Load(PeerCertificateFiles files) => new(files);

    /// <summary>Why others do not take this node's certificate now; null when they do.</summary>
    public string? Untimely(TimeProvider time) => PemCertificate.Untimely(_certificate.TargetCertificate, time);

    /// <param name="objects">Hears why the other side's certificate is not taken.</param>
    public SslServerAuthenticationOptions AsServer(Action<string> objects) => new()
    {
        ServerCertificateContext = _certificate,
        ClientCertificateRequired = true,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        RemoteCertificateValidationCallback = (_, certificate, sent, _) => IsOfTheAuthority(certificate, sent, objects),
    };

    /// <param name="objects">Hears why the other side's certificate is not taken.</param>
    public SslClientAuthenticationOptions AsClient(Action<string> objects) => new()
    {
        TargetHost = "kvasir",
        ClientCertificateContext = _certificate,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        RemoteCertificateValidationCallback = (_, certificate, sent, _) => IsOfTheAuthority(certificate, sent, objects),
    };

    private bool IsOfTheAuthority(X509Certificate? certificate, X509Chain? sent, Action<string> objects)
    {
        if (certificate is not X509Certificate2 shown)
        {
            objects("the other side shows no certificate");
            return false;
        }

        using X509Chain chain = new();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(_authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        if (sent is not null)
            chain.ChainPolicy.ExtraStore.AddRange(sent.ChainPolicy.ExtraStore);
        if (chain.Build(shown))
            return true;
        objects($"the certificate that the other side shows ({shown.Subject}, good until {shown.NotAfter.ToUniversalTime():u}) is not taken: "
            + string.Join("; ", chain.ChainStatus.Select(static s => s.StatusInformation.Trim().TrimEnd('.'))));
        return false;
    }
}
