using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Kvasir.Server.Peers;

/// <summary>A certificate and its key from two files.</summary>
internal static class PemCertificate
{
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
