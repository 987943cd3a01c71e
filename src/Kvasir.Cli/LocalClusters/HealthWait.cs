using System.Diagnostics;

namespace Kvasir.Cli.LocalClusters;

/// <summary>Waits until nothing is wrong with a cluster that has just begun, and not for ever: what is wrong may need a person.</summary>
internal sealed class HealthWait
{
    private readonly Func<string?> _wrong;
    private readonly Action<string> _say;

    /// <param name="wrong">What is wrong now; null when nothing is.</param>
    /// <param name="say">Hears of that, now and then.</param>
    public HealthWait(Func<string?> wrong, Action<string> say)
    {
        _wrong = wrong;
        _say = say;
    }

    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(30);

    public TimeSpan LookAgain { get; init; } = TimeSpan.FromMilliseconds(200);

    public TimeSpan SayAgain { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Null when all is well; else what was still wrong when patience was over.</summary>
    public async Task<string?> Run(CancellationToken cancellation)
    {
        Stopwatch waited = Stopwatch.StartNew(), silent = Stopwatch.StartNew();
        while (_wrong() is { } wrong)
        {
            if (waited.Elapsed >= Patience)
                return wrong;
            if (silent.Elapsed >= SayAgain)
            {
                _say(wrong);
                silent.Restart();
            }

            await Task.Delay(LookAgain, cancellation);
        }

        return null;
    }
}
