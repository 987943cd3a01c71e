using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Conversions;

/// <summary>What is there can never be in the engine that it was to move to: no other try changes that.</summary>
internal sealed class UnfitException : StorageException
{
    public UnfitException() { }

    public UnfitException(string message) : base(message) { }

    public UnfitException(string message, Exception? inner) : base(message, inner) { }
}
