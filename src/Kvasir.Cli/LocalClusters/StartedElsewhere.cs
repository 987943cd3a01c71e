using System.Globalization;
using System.Text;

namespace Kvasir.Cli.LocalClusters;

/// <summary>Nodes of a cluster that were started again by hand: they stop together with the rest.</summary>
internal static class StartedElsewhere
{
    /// <summary>
    /// The process that a node's folder names as its own, when it is alive and surely that server: its command line names the
    /// settings file. A number alone may by now belong to anybody. 0: none.
    /// </summary>
    public static int ProcessOf(NodePlace place)
    {
        try
        {
            string text = File.ReadAllText(Path.Combine(place.Folder, "kvasir.pid"));
            if (!int.TryParse(text, NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture, out int processId) || processId <= 0)
                return 0;
            string[] words = Encoding.UTF8.GetString(File.ReadAllBytes(string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/cmdline"))).Split('\0');
            string name = Path.GetFileName(place.SettingsFile);
            return words.Contains("server", StringComparer.Ordinal) && words.Any(w => w == name || w.EndsWith('/' + name, StringComparison.Ordinal)) ? processId : 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return 0;
        }
    }

    /// <summary>SIGTERM to those that are not our children, and the wait for their ends.</summary>
    public static async Task Stop(IEnumerable<NodePlace> places, TimeSpan patience)
    {
        List<NodePlace> stopping = [];
        foreach (NodePlace place in places)
        {
            if (ProcessOf(place) is > 0 and int processId && ThisProgram.Signal(processId, ProcessSignal.Terminate))
                stopping.Add(place);
        }

        long end = Environment.TickCount64 + (long)patience.TotalMilliseconds;
        while (stopping.Exists(p => ProcessOf(p) != 0) && Environment.TickCount64 < end)
            await Task.Delay(20);
    }
}
