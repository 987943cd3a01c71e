using System.Globalization;
using System.Runtime.InteropServices;
using Kvasir.Storage.Files;

namespace Kvasir.Storage.Machine;

/// <summary>What a failed system call becomes.</summary>
internal static class PosixErrors
{
    /// <summary>The exception for the call that just failed on this thread.</summary>
    public static StorageException Last(string call, string path) => For(call, path, Marshal.GetLastPInvokeError());

    /// <summary>The same for a write, of which so many bytes were down before.</summary>
    public static StorageException LastWrite(string path, int done)
    {
        int error = Marshal.GetLastPInvokeError();
        return error is LibC.NoSpace or LibC.QuotaExceeded
            ? new DiskFullException("write", path, Marshal.GetPInvokeErrorMessage(error)) { WroteNothing = done == 0 }
            : For("write", path, error);
    }

    public static StorageException For(string call, string path, int error)
    {
        string reason = Marshal.GetPInvokeErrorMessage(error);
        return error switch
        {
            LibC.NoEntry => new FileMissingException(path),
            LibC.NoSpace or LibC.QuotaExceeded => new DiskFullException(call, path, reason),
            LibC.TooManyOpenFiles => new DiskFailedException(
                call, path, string.Create(CultureInfo.InvariantCulture, $"{reason}: the process may have no more than {LibC.OpenFilesMax()} (ulimit -n, LimitNOFILE= of systemd)")),
            _ => new DiskFailedException(call, path, reason),
        };
    }

    /// <summary>True when the call that just failed on this thread was only interrupted by a signal.</summary>
    public static bool WasInterrupted() => Marshal.GetLastPInvokeError() == LibC.Interrupted;
}
