namespace Kvasir.Server.Hosting;

/// <summary>The server cannot start; the message is one line that says why. Programs end with exit code 2.</summary>
public sealed class StartupException : Exception
{
    public StartupException() { }

    public StartupException(string message) : base(message) { }

    public StartupException(string message, Exception? inner) : base(message, inner) { }
}
