using Kvasir.Storage.Files;
using Microsoft.Extensions.Logging;

namespace Kvasir.Server.Hosting;

/// <summary>Says in the log which files are damaged, each once: clients may ask for what is there again and again. Thread-safe.</summary>
internal sealed class DamageNotices(ILogger logger)
{
    private readonly HashSet<string> _named = [];
    private readonly Lock _lock = new();

    public void Met(CorruptionException damage)
    {
        lock (_lock)
        {
            if (!_named.Add(damage.Path ?? damage.Message))
                return;
        }

        HostLog.DamageMet(logger, damage.Message.ReplaceLineEndings(" "));
    }
}
