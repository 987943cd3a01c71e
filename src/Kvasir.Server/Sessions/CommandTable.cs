using System.Text;
using Kvasir.Primitives;

namespace Kvasir.Server.Sessions;

/// <summary>
/// All commands by name, whatever the case. Immutable and thread-safe once built; a look-up allocates nothing.
/// </summary>
internal sealed class CommandTable
{
    private const int NameBytesMax = 32;
    private readonly Dictionary<FoldedName, CommandEntry> _byName = [];

    public CommandTable(IEnumerable<CommandDefinition> commands, CommandEntry? parent = null)
    {
        foreach (CommandDefinition command in commands)
        {
            Check.That(command.Name.Length <= NameBytesMax, $"command name {command.Name} is too long");
            Check.That(FoldedName.TryCreate(Encoding.ASCII.GetBytes(command.Name), out FoldedName name));
            Check.That(_byName.TryAdd(name, new CommandEntry(command, parent)), $"command {command.Name} is registered twice");
        }

        All = [.. _byName.Values.OrderBy(c => c.Definition.Name, StringComparer.Ordinal)];
    }

    /// <summary>In the order of their names.</summary>
    public IReadOnlyList<CommandEntry> All { get; }

    /// <summary>Each container followed by its subcommands.</summary>
    public IEnumerable<CommandEntry> AllWithSubcommands
    {
        get
        {
            foreach (CommandEntry entry in All)
            {
                yield return entry;
                foreach (CommandEntry sub in entry.Subcommands?.All ?? [])
                    yield return sub;
            }
        }
    }

    public CommandEntry? Find(ReadOnlySpan<byte> name) =>
        FoldedName.TryCreate(name, out FoldedName key) && _byName.TryGetValue(key, out CommandEntry? command) ? command : null;

    /// <summary>Up to 32 bytes of a name in lower case: compares and hashes without a string.</summary>
    private readonly record struct FoldedName(ulong A, ulong B, ulong C, ulong D)
    {
        public static bool TryCreate(ReadOnlySpan<byte> name, out FoldedName result)
        {
            if (name.Length is 0 or > NameBytesMax)
            {
                result = default;
                return false;
            }

            Span<ulong> words = stackalloc ulong[4];
            words.Clear();
            for (int i = 0; i < name.Length; i++)
            {
                uint c = name[i];
                if (c == 0)
                {
                    // Would be taken for the padding.
                    result = default;
                    return false;
                }

                if (c - 'A' <= 'Z' - 'A')
                    c |= 0x20;
                words[i >> 3] |= (ulong)c << (8 * (i & 7));
            }

            result = new FoldedName(words[0], words[1], words[2], words[3]);
            return true;
        }

        public override int GetHashCode()
        {
            ulong h = (A * 0x9E3779B97F4A7C15) ^ (B * 0xC2B2AE3D27D4EB4F) ^ (C * 0x165667B19E3779F9) ^ D;
            return (int)(h ^ (h >> 32));
        }
    }
}
