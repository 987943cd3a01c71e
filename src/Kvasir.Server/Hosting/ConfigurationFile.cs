using System.Text;
using Kvasir.Server.Sessions;
using Kvasir.Server.Settings;
using Kvasir.Storage.Files;

namespace Kvasir.Server.Hosting;

/// <summary>
/// The file that the server was started with, for CONFIG REWRITE: parameters that were changed since the start replace
/// their lines or are added; all other lines stay as they are.
/// </summary>
internal sealed class ConfigurationFile : IConfigFile
{
    private readonly IFileSystem _files;
    private readonly string _path;
    private readonly Dictionary<string, string> _written = new(StringComparer.Ordinal);

    public ConfigurationFile(IFileSystem files, string path, ServerSettings settings)
    {
        _files = files;
        _path = Path.GetFullPath(path);
        foreach (Setting setting in SettingTable.Rows)
            _written[setting.Name] = settings.Value(setting);
    }

    public string? Rewrite(ServerSettings settings)
    {
        try
        {
            List<string> lines = [.. File.ReadAllLines(_path)];
            Setting[] changed = [.. SettingTable.Rows.Where(s => !string.Equals(settings.Value(s), _written[s.Name], StringComparison.Ordinal))];
            foreach (Setting setting in changed)
                Replace(lines, setting.Name, Line(setting.Name, settings));
            AtomicFile.Replace(_files, _path, Encoding.UTF8.GetBytes(string.Join('\n', lines) + "\n"));
            foreach (Setting setting in changed)
                _written[setting.Name] = settings.Value(setting);
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or StorageException)
        {
            return e.Message.ReplaceLineEndings(" ");
        }
    }

    /// <summary>Some parameters are Kvasir's own options under another name: those are written as the file knows them.</summary>
    private static string[] Line(string name, ServerSettings settings) => name switch
    {
        "appendfsync" => ["durability", settings[name] switch { "always" => "sync", "everysec" => "interval", _ => "none" }],
        "appendonly" => [],
        "port" or "bind" => ["resp", string.Join(',', BindAddresses.Parse(settings["bind"], (int)settings.Number("port")) ?? [])],
        "proto-max-bulk-len" => ["value-mib-max", Math.Max(settings.Number(name) >> 20, 1).ToString(System.Globalization.CultureInfo.InvariantCulture)],
        _ => [name, settings[name]],
    };

    private static void Replace(List<string> lines, string name, string[] line)
    {
        if (line.Length == 0)
            return;
        string text = line[1].Length == 0 || line[1].Contains('#', StringComparison.Ordinal) ? $"{line[0]} \"{line[1]}\"" : line[0] + " " + line[1];
        int last = lines.FindLastIndex(l => IsOf(l, line[0]) || IsOf(l, name));
        if (last >= 0)
            lines[last] = text;
        else
            lines.Add(text);
    }

    private static bool IsOf(string line, string key)
    {
        string trimmed = line.TrimStart();
        return trimmed.StartsWith(key, StringComparison.OrdinalIgnoreCase)
            && (trimmed.Length == key.Length || trimmed[key.Length] is ' ' or '\t' or '=');
    }
}
