using Kvasir.Primitives;
using Kvasir.Raft.Numbers;

namespace Kvasir.Raft.Membership;

/// <summary>
/// The configurations in a member's log, oldest first: the last one at or below the compacted prefix, then all above it.
/// The newest is in force from the moment it is appended (thesis, 4.1), and truncation brings its predecessor back.
/// Invariant: at least one entry; indexes strictly grow.
/// </summary>
internal sealed class ConfigurationHistory
{
    private ConfigurationEntry[] _entries = new ConfigurationEntry[1];
    private int _count;

    public ConfigurationHistory(ReadOnlySpan<ConfigurationEntry> entries)
    {
        if (entries.IsEmpty)
        {
            Push(new ConfigurationEntry(LogIndex.Zero, Term.Zero, Configuration.Empty));
            return;
        }

        foreach (ConfigurationEntry entry in entries)
        {
            Check.That(_count == 0 || entry.Index > Last.Index);
            Push(entry);
        }
    }

    public Configuration Current => Last.Configuration;

    public ref readonly ConfigurationEntry Last => ref _entries[_count - 1];

    /// <summary>The configuration that is in force for the prefix up to this index.</summary>
    public ConfigurationEntry At(LogIndex index)
    {
        for (int i = _count - 1; i >= 0; i--)
        {
            if (_entries[i].Index <= index)
                return _entries[i];
        }

        Check.Fail($"the configuration at {index} has been compacted away: the oldest is that of {_entries[0].Index}");
        return default;
    }

    /// <summary>The configuration that the entry at this index holds; null when it holds none.</summary>
    public Configuration? Exactly(LogIndex index)
    {
        for (int i = _count - 1; i >= 0 && _entries[i].Index >= index; i--)
        {
            if (_entries[i].Index == index)
                return _entries[i].Configuration;
        }

        return null;
    }

    /// <summary>The first entry above this index that holds a configuration; <see cref="LogIndex.Max"/> when none does.</summary>
    public LogIndex FirstAbove(LogIndex index)
    {
        LogIndex first = LogIndex.Max;
        for (int i = _count - 1; i >= 0 && _entries[i].Index > index; i--)
            first = _entries[i].Index;
        return first;
    }

    /// <summary>True when this member votes in the configuration in force at this index, or in any newer one.</summary>
    public bool IsVoterFrom(LogIndex index, MemberId id)
    {
        for (int i = _count - 1; i >= 0; i--)
        {
            if (_entries[i].Configuration.IsVoter(id))
                return true;
            if (_entries[i].Index <= index)
                return false;
        }

        return false;
    }

    public void Append(in ConfigurationEntry entry)
    {
        Check.That(entry.Index > Last.Index || (_count == 1 && entry.Index == Last.Index));
        if (entry.Index == Last.Index)
            _count = 0;
        Push(entry);
    }

    /// <summary>Forgets the configurations at and above this index; true when the one in force changed.</summary>
    public bool TruncateFrom(LogIndex index)
    {
        int before = _count;
        while (_count > 0 && _entries[_count - 1].Index >= index)
            _entries[--_count] = default;
        Check.That(_count > 0, $"truncation from {index} would take the last configuration");
        return _count != before;
    }

    /// <summary>Forgets those that are not in force above this index.</summary>
    public void Compact(LogIndex index)
    {
        int drop = 0;
        while (drop + 1 < _count && _entries[drop + 1].Index <= index)
            drop++;
        if (drop == 0)
            return;
        Array.Copy(_entries, drop, _entries, 0, _count - drop);
        Array.Clear(_entries, _count - drop, drop);
        _count -= drop;
    }

    public void Reset(in ConfigurationEntry entry)
    {
        Array.Clear(_entries);
        _count = 0;
        Push(entry);
    }

    private void Push(in ConfigurationEntry entry)
    {
        if (_count == _entries.Length)
            Array.Resize(ref _entries, _count * 2);
        _entries[_count++] = entry;
    }
}
