using Kvasir.Cli.Shell;

namespace Kvasir.Cli.Administration;

/// <summary>What a command that changed something was answered, as is: it is OK or a few words.</summary>
internal static class AdminReply
{
    public static void Write(RespReply reply, bool json) => Console.WriteLine(json ? ReplyText.Json(reply) : ReplyText.Pretty(reply));
}
