using Kvasir.Storage.Files;

namespace Kvasir.Storage.HashLog;

/// <summary>Room for keys in memory: of this engine, and of all that share its memory.</summary>
internal sealed unsafe partial class HashLogEngine
{
    /// <summary>What the keys may still take; negative after a start with less memory than before.</summary>
    private long IndexRoomBytes => Math.Min(_options.IndexBytes - _index.UsedBytes, _budget.IndexLimitBytes - _budget.IndexBytes);

    /// <summary>Of this engine's own limit or of that of all together, whichever is nearer.</summary>
    private int IndexPercent => (int)Math.Min(
        Math.Max(_index.UsedBytes * 100 / _options.IndexBytes, _budget.IndexBytes * 100 / _budget.IndexLimitBytes), int.MaxValue);

    private void WarnOfAllIndexes()
    {
        if (_budget.TakeIndexWarning())
        {
            _environment.LimitNears?.Invoke(
                $"the keys of all engines that have them in memory take {_budget.IndexBytes} of {_budget.IndexLimitBytes} bytes that they may take together; beyond that new ones are refused");
        }
    }

    private IndexFullException IndexFull() => new(_options.IndexBytes - _index.UsedBytes <= IndexRoomBytes
        ? $"the keys take {_index.UsedBytes} of {_options.IndexBytes} bytes of memory that they may take: no new ones are taken; delete some, or give more"
        : $"the keys take {_index.UsedBytes} bytes of memory, and with those of other engines {_budget.IndexBytes} of {_budget.IndexLimitBytes} that they may take together: no new ones are taken; delete some, or give more");
}
