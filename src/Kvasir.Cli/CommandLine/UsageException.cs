namespace Kvasir.Cli.CommandLine;

/// <summary>
/// What a user can put right: a flag, a file, a port. The message is one line and says what to do; it ends the program
/// with <see cref="ExitCode.Usage"/>.
/// </summary>
internal sealed class UsageException : Exception
{
    public UsageException() { }

    public UsageException(string message) : base(message) { }

    public UsageException(string message, Exception? inner) : base(message, inner) { }
}

/// <summary>The exit codes of every command; scripts rely on them (the help page lists them).</summary>
internal static class ExitCode
{
    public const int Success = 0;

    /// <summary>The command did its work, and the answer is no: damage was found, the server replied with an error.</summary>
    public const int Negative = 1;

    /// <summary>The command line, a file or a port is not right.</summary>
    public const int Usage = 2;

    /// <summary>A defect of Kvasir (EX_SOFTWARE of sysexits.h).</summary>
    public const int Defect = 70;

    /// <summary>SIGINT came before the command was done, so that nothing follows from what it had found (128 and the signal, as of a shell).</summary>
    public const int Interrupted = 130;

    /// <summary>The same, with SIGTERM.</summary>
    public const int Terminated = 143;
}
