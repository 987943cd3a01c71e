using System.Globalization;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Kvasir.Server.Peers;

/// <summary>A certificate and its key from two files.</summary>
internal static class PemCertificate
{
    /// <summary>Why nobody who looks at the time takes it; null when it is good now.</summary>
    public static string? Untimely(X509Certificate2 certificate, TimeProvider time)
    {
        DateTime now = time.GetUtcNow().UtcDateTime, from = certificate.NotBefore.ToUniversalTime(), until = certificate.NotAfter.ToUniversalTime();
        return until < now ? string.Create(CultureInfo.InvariantCulture, $"expired at {until:u}")
            : now < from ? string.Create(CultureInfo.InvariantCulture, $"is not good before {from:u}")
            : null;
    }

    /// <exception cref="CryptographicException">A file does not hold what it should.</exception>
    /// <exception cref="IOException">A file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">Likewise.</exception>
    public static X509Certificate2 Read(string certificate, string key)
    {
        try
        {
            using X509Certificate2 pem = X509Certificate2.CreateFromPemFile(certificate, key);
            return X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), password: null);
        }
        catch (ArgumentException e)
        {
            throw new CryptographicException($"the key in {key} is not that of the certificate in {certificate}", e);
        }
        catch (NotSupportedException e)
        {
            throw new CryptographicException($"the certificate in {certificate} has a key of a kind that is not supported here", e);
        }
    }
}
