using Kvasir.Cli.Shell;

namespace Kvasir.Cli.Administration;

/// <summary>What a command that changed something was answered, as is: it is OK or a few words.</summary>
internal static class AdminReply
{
    // Between what was done and what is to be known of it.
    private const string ButMark = "OK, but ";

    /// <summary>As <see cref="Write"/>; what the server says beside OK goes where warnings are read.</summary>
    public static void WriteWithWarning(RespReply reply, bool json)
    {
        if (json || !ReplyText.Pretty(reply).StartsWith(ButMark, StringComparison.Ordinal))
        {
            Write(reply, json);
            return;
        }

        Console.WriteLine("OK");
        Console.Error.WriteLine("kvasir: " + ReplyText.Pretty(reply)[ButMark.Length..]);
    }

    public static void Write(RespReply reply, bool json) => Console.WriteLine(json ? ReplyText.Json(reply) : ReplyText.Pretty(reply));
}
