namespace Kvasir.Wire.Resp;

/// <summary>What a request may be at most; beyond it the connection is closed with Redis's words.</summary>
public sealed class RespRequestLimits
{
    /// <summary>Bytes of one argument (proto-max-bulk-len).</summary>
    public long BulkBytesMax { get; set; } = 64L << 20;

    /// <summary>Arguments of one request.</summary>
    public int ArgumentsMax { get; set; } = int.MaxValue;

    /// <summary>Bytes of an inline request, or of one line of a request in pieces.</summary>
    public int LineBytesMax { get; set; } = 64 * 1024;
}
