using Kvasir.Storage.Files;

namespace Kvasir.Cluster.Replicas;

/// <summary>
/// A log that took writes when it was asked refuses one now: the disk failed, or the lead was lost, in between. It has not happened, and will
/// not. The message is for a client, and begins with the error's code (<see cref="WriteRefusal"/>).
/// </summary>
public sealed class WriteRefusedException : WritesStoppedException
{
    public WriteRefusedException() { }

    public WriteRefusedException(string message) : base(message) { }

    public WriteRefusedException(string message, Exception? inner) : base(message, inner) { }
}
