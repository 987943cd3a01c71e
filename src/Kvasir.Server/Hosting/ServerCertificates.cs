using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Kvasir.Server.Peers;
using Kvasir.Server.Sessions;
using Microsoft.Extensions.Logging;

namespace Kvasir.Server.Hosting;

/// <summary>The certificates of RESP over TLS; replaced while it is served, for the connections that come then. Thread-safe.</summary>
internal sealed class ServerCertificates : ICertificates
{
    private readonly bool _clientsShowCertificates;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private volatile Loaded _loaded;

    /// <summary>Throws <see cref="StartupException"/>. The log hears of a certificate that is not good now, which is shown all the same.</summary>
    public ServerCertificates(TlsFiles files, TimeProvider time, ILogger logger)
    {
        _time = time;
        _logger = logger;
        try
        {
            _loaded = Load(files);
            _clientsShowCertificates = files.ClientAuthority is not null;
        }
        catch (Exception e) when (IsOfFiles(e))
        {
            throw new StartupException($"cannot use the certificate files: {e.Message.ReplaceLineEndings(" ")}", e);
        }
    }

    public string? Replace(TlsFiles files)
    {
        // Who is let in without a password, and by protected-mode, was decided with it.
        if (files.ClientAuthority is not null != _clientsShowCertificates)
            return "whether clients show certificates is decided at the start";
        try
        {
            _loaded = Load(files);
            return null;
        }
        catch (Exception e) when (IsOfFiles(e))
        {
            return e.Message.ReplaceLineEndings(" ");
        }
    }

    /// <summary>For one connection.</summary>
    public SslServerAuthenticationOptions AsServer()
    {
        Loaded loaded = _loaded;
        SslServerAuthenticationOptions options = new()
        {
            ServerCertificateContext = loaded.Certificate,
            CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        };
        if (loaded.Authorities is { } authorities)
        {
            options.ClientCertificateRequired = true;
            options.RemoteCertificateValidationCallback = (_, shown, _, _) => shown is X509Certificate2 client && IsSignedBy(client, authorities);
        }

        return options;
    }

    private Loaded Load(TlsFiles files)
    {
        // The chain's other certificates come from the same file; the key makes the first one the server's.
        X509Certificate2 certificate = PemCertificate.Read(files.Certificate, files.Key);
        X509Certificate2Collection chain = [];
        chain.ImportFromPemFile(files.Certificate);
        X509Certificate2Collection? authorities = null;
        if (files.ClientAuthority is { } authority)
        {
            authorities = [];
            authorities.ImportFromPemFile(authority);
            if (authorities.Count == 0)
                throw new CryptographicException($"{authority} holds no certificate of an authority");
        }

        // Said and not refused: whose clients do not look is served, and a clock may be wrong.
        if (PemCertificate.Untimely(certificate, _time) is { } untimely)
            HostLog.Untimely(_logger, files.Certificate, untimely);
        return new Loaded(SslStreamCertificateContext.Create(certificate, chain, offline: true), authorities);
    }

    /// <summary>A file without a name is an <see cref="ArgumentException"/>.</summary>
    private static bool IsOfFiles(Exception e) =>
        e is CryptographicException or ArgumentException or IOException or UnauthorizedAccessException;

    private static bool IsSignedBy(X509Certificate2 client, X509Certificate2Collection authorities)
    {
        using X509Chain chain = new();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(authorities);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        return chain.Build(client);
    }

    private sealed record Loaded(SslStreamCertificateContext Certificate, X509Certificate2Collection? Authorities);
}
