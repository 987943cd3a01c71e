using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace Kvasir.Cluster.Directory;

/// <summary>One label of a place, as in <c>zone=a</c>.</summary>
public readonly record struct LocalityLabel(string Key, string Value)
{
    public override string ToString() => Key + "=" + Value;
}

/// <summary>
/// Where a node is: labels from the widest place to the narrowest (<c>region=eu,zone=a</c>). What fails together shares the
/// first labels, so copies are kept apart by the first label that differs. Immutable.
/// </summary>
public sealed class Locality : IEquatable<Locality>
{
    public const int LabelsMax = 8;

    /// <summary>Of a key, and of a value.</summary>
    public const int WordLengthMax = 64;

    public static readonly Locality None = new([]);

    private readonly LocalityLabel[] _labels;

    private Locality(LocalityLabel[] labels) => _labels = labels;

    public ReadOnlySpan<LocalityLabel> Labels => _labels;

    /// <summary>Reads <c>k=v,k=v</c>; the empty text is no locality.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out Locality? locality, [NotNullWhen(false)] out string? refusal)
    {
        if (text.Length == 0)
        {
            (locality, refusal) = (None, null);
            return true;
        }

        string[] parts = text.Split(',');
        var labels = new LocalityLabel[parts.Length];
        for (int i = 0; i < parts.Length; i++)
        {
            int equals = parts[i].IndexOf('=', StringComparison.Ordinal);
            labels[i] = equals < 0 ? default : new LocalityLabel(parts[i][..equals], parts[i][(equals + 1)..]);
        }

        return TryMake(labels, out locality, out refusal);
    }

    public static bool TryMake(
        ReadOnlySpan<LocalityLabel> labels, [NotNullWhen(true)] out Locality? locality, [NotNullWhen(false)] out string? refusal)
    {
        locality = null;
        refusal = null;
        if (labels.Length > LabelsMax)
            refusal = $"a locality has {LabelsMax} labels at most";
        for (int i = 0; i < labels.Length && refusal is null; i++)
        {
            if (!IsWord(labels[i].Key) || !IsWord(labels[i].Value))
                refusal = $"a locality is key=value,key=value of letters, digits, '.', '_' and '-', {WordLengthMax} at most in each";
            for (int j = 0; j < i; j++)
            {
                if (labels[j].Key == labels[i].Key)
                    refusal = $"the locality has two labels '{labels[i].Key}'";
            }
        }

        if (refusal is not null)
            return false;
        locality = labels.Length == 0 ? None : new Locality(labels.ToArray());
        return true;
    }

    /// <summary>
    /// How far apart two places are: 0 when nothing tells them apart, and twice as much for a difference one label wider.
    /// </summary>
    public int DistanceTo(Locality other)
    {
        for (int i = 0; i < LabelsMax; i++)
        {
            bool here = i < _labels.Length;
            if (!here && i >= other._labels.Length)
                return 0;
            if (!here || i >= other._labels.Length || _labels[i] != other._labels[i])
                return 1 << (LabelsMax - 1 - i);
        }

        return 0;
    }

    public bool Equals(Locality? other) => other is not null && Labels.SequenceEqual(other.Labels);

    public override bool Equals(object? obj) => Equals(obj as Locality);

    public override int GetHashCode() => _labels.Length;

    public override string ToString()
    {
        var text = new StringBuilder();
        foreach (LocalityLabel label in _labels)
            text.Append(text.Length == 0 ? "" : ",").Append(label.Key).Append('=').Append(label.Value);
        return text.ToString();
    }

    private static bool IsWord(string? word) =>
        word is { Length: > 0 and <= WordLengthMax } && word.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-');
}
