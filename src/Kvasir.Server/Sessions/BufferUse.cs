namespace Kvasir.Server.Sessions;

/// <summary>
/// How much of its buffers a client needed of late, as CLIENT LIST tells it in Redis's terms. Arrays for input are lent
/// while bytes are in them, and buffers for output shrink when they are empty, so the size that they have at the moment of
/// the question would say nothing.
/// </summary>
internal sealed class BufferUse
{
    private const int InputMin = 16 << 10;
    private const int ReplyMin = 1 << 10;
    private const int ReplyMax = 16 << 10;
    private const int IdleMs = 2000;
    private int _inputPeak;
    private int _replyPeak;
    private long _replyPeakSinceMs;

    /// <summary>Room for requests: the longest of late, none when nothing came for two seconds.</summary>
    public int InputBytes { get; private set; } = InputMin;

    /// <summary>Room for replies: follows the longest of late.</summary>
    public int ReplyBytes { get; private set; } = ReplyMax;

    public void Received(int inputLength)
    {
        if (inputLength > _inputPeak)
            _inputPeak = inputLength;
        if (inputLength > InputBytes)
            InputBytes = inputLength;
    }

    public void Replied(int outputLength)
    {
        if (outputLength > _replyPeak)
            _replyPeak = outputLength;
    }

    /// <summary>Now and then.</summary>
    /// <param name="nowMs">Of any clock.</param>
    /// <param name="quietMs">Since when nothing came.</param>
    /// <param name="peakMs">How long a peak of replies counts; negative for ever.</param>
    public void Tend(long nowMs, long quietMs, long peakMs)
    {
        InputBytes = quietMs > IdleMs ? 0 : Math.Max(_inputPeak, InputMin);
        _inputPeak = 0;
        if (_replyPeak >= ReplyBytes)
            ReplyBytes = Math.Min(ReplyBytes * 2, ReplyMax);
        else if (_replyPeak < ReplyBytes / 2 && peakMs >= 0)
            ReplyBytes = Math.Max(_replyPeak + 1, ReplyMin);
        if (peakMs < 0 || nowMs - _replyPeakSinceMs < peakMs)
            return;
        _replyPeakSinceMs = nowMs;
        _replyPeak = 0;
    }
}
