using System.Net;
using Microsoft.Extensions.Logging;

namespace Kvasir.Server.Peers;

/// <summary>What a node writes to its log about other nodes.</summary>
internal static partial class PeerLog
{
    [LoggerMessage(40, LogLevel.Information, "other nodes connect at {EndPoint}{Security}")]
    public static partial void Listening(ILogger logger, IPEndPoint endPoint, string security);

    [LoggerMessage(41, LogLevel.Information, "node {Node} is connected ({Remote})")]
    public static partial void Connected(ILogger logger, ulong node, string remote);

    [LoggerMessage(42, LogLevel.Warning, "node {Node} is disconnected ({Remote}): {Reason}")]
    public static partial void Disconnected(ILogger logger, ulong node, string remote, string reason);

    [LoggerMessage(43, LogLevel.Warning, "node {Node} cannot be reached at {Address}: {Reason}")]
    public static partial void Unreachable(ILogger logger, ulong node, string address, string reason);

    [LoggerMessage(44, LogLevel.Warning, "a connection from {Remote} is refused: {Reason}")]
    public static partial void Refused(ILogger logger, string remote, string reason);

    [LoggerMessage(45, LogLevel.Debug, "a connection with {Remote} came to nothing: {Reason}")]
    public static partial void CameToNothing(ILogger logger, string remote, string reason);

    [LoggerMessage(47, LogLevel.Warning, "{File} {Untimely}: no other node takes this one for a peer")]
    public static partial void Untimely(ILogger logger, string file, string untimely);

    [LoggerMessage(46, LogLevel.Warning, "the process can open no more files: no node can connect for now")]
    public static partial void NoFiles(ILogger logger);
}
