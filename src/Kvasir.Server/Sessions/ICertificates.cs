namespace Kvasir.Server.Sessions;

/// <summary>What clients over TLS are shown, and must show.</summary>
internal interface ICertificates
{
    /// <summary>
    /// From the next connection on these files, read anew. Null, or why they cannot be used; then what was shown still is.
    /// </summary>
    string? Replace(TlsFiles files);
}

/// <param name="Certificate">PEM file with the server's certificate and its chain.</param>
/// <param name="Key">PEM file with its private key.</param>
/// <param name="ClientAuthority">PEM file of the authority that clients' certificates must come from; null: clients need none.</param>
public sealed record TlsFiles(string Certificate, string Key, string? ClientAuthority);
