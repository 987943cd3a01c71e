using System.Globalization;

namespace Kvasir.Server.Settings;

/// <summary>The values of all parameters. Changed inside the mailbox; single values may be read from anywhere.</summary>
internal sealed class ServerSettings
{
    private readonly Dictionary<string, Setting> _byName = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, string> _values = new(StringComparer.Ordinal);
    private readonly List<(string Name, Setting Setting)> _names = [];

    public ServerSettings()
    {
        foreach (Setting setting in SettingTable.Rows)
        {
            _values[setting.Name] = setting.Default;
            AddName(setting.Name, setting);
            if (setting.Alias is not null)
                AddName(setting.Alias, setting);
        }

        _names.Sort((a, b) => string.CompareOrdinal(a.Name, b.Name));
    }

    /// <summary>All names, aliases too, in order.</summary>
    public IReadOnlyList<(string Name, Setting Setting)> Names => _names;

    public string this[string name] => _values[name];

    public string Value(Setting setting) => _values[setting.Name];

    public Setting? Find(string name) => _byName.GetValueOrDefault(name);

    public bool Flag(string name) => string.Equals(_values[name], "yes", StringComparison.Ordinal);

    public long Number(string name) => long.Parse(_values[name], CultureInfo.InvariantCulture);

    /// <summary>Null, or what is wrong. Nothing is changed.</summary>
    public string? Check(Setting setting, string value, out string normal) =>
        SettingValue.Check(setting, value, _values[setting.Name], out normal);

    public void Set(Setting setting, string normal) => _values[setting.Name] = normal;

    /// <summary>For the server itself, at its start: the value must be right.</summary>
    public void Set(string name, string value)
    {
        Setting setting = _byName[name];
        string? error = Check(setting, value, out string normal);
        Kvasir.Primitives.Check.That(error is null, $"{name}: {error}");
        _values[setting.Name] = normal;
    }

    private void AddName(string name, Setting setting)
    {
        _byName.Add(name, setting);
        _names.Add((name, setting));
    }
}
