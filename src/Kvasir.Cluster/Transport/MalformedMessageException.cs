namespace Kvasir.Cluster.Transport;

/// <summary>What a peer sent is no message. Thrown by a listener, it ends the connection and nothing else.</summary>
public sealed class MalformedMessageException : Exception
{
    public MalformedMessageException(string message)
        : base(message)
    {
    }

    public MalformedMessageException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
