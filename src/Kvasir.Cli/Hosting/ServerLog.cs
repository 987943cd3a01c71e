using Kvasir.Server.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Kvasir.Cli.Hosting;

/// <summary>Where a server's log goes: standard error, as lines for people or as JSON.</summary>
internal static class ServerLog
{
    private static readonly LogLevel[] s_levels = [LogLevel.Debug, LogLevel.Information, LogLevel.Warning, LogLevel.Error];

    public static ILoggerFactory Create(string level, bool json) => LoggerFactory.Create(logging =>
    {
        logging.SetMinimumLevel(s_levels[ServerOptions.LogLevels.ToList().IndexOf(level)]);

        // The web server's own chatter is not the database's.
        logging.AddFilter("Microsoft", LogLevel.Warning);
        logging.AddFilter("System", LogLevel.Warning);

        // A start that fails is told by the program, in one line.
        logging.AddFilter("Microsoft.Extensions.Hosting", LogLevel.None);
        if (json)
        {
            logging.AddJsonConsole(o =>
            {
                o.UseUtcTimestamp = true;
                o.TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ";
            });
        }
        else
        {
            logging.AddSimpleConsole(o =>
            {
                o.SingleLine = true;
                o.UseUtcTimestamp = true;
                o.TimestampFormat = "yyyy-MM-dd HH:mm:ss.fff ";
                o.ColorBehavior = Console.IsErrorRedirected ? LoggerColorBehavior.Disabled : LoggerColorBehavior.Default;
            });
        }

        logging.Services.Configure<ConsoleLoggerOptions>(o => o.LogToStandardErrorThreshold = LogLevel.Trace);
    });
}
