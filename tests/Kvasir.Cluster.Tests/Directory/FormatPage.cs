namespace Kvasir.Cluster.Tests.Directory;

/// <summary>Tables in the pages under docs/formats, so that what they show is what the code does.</summary>
internal static class FormatPage
{
    /// <summary>The rows of all tables with this head, cell by cell.</summary>
    public static string[][] Table(string page, params string[] head)
    {
        string path = Path.Combine(AppContext.BaseDirectory, "Samples", page);
        List<string[]> rows = [];
        bool inside = false;
        foreach (string line in File.ReadAllLines(path))
        {
            string[] cells = [.. line.Trim().Trim('|').Split('|').Select(c => c.Trim())];
            bool isTable = line.StartsWith('|');
            if (isTable && cells.SequenceEqual(head))
                inside = true;
            else if (!isTable)
                inside = false;
            else if (inside && cells.Length == head.Length && cells[0].Trim('-').Length > 0)
                rows.Add(cells);
        }

        return [.. rows];
    }

    /// <summary>What stands between backticks; nothing for an empty cell.</summary>
    public static string Code(string cell) => cell.Trim('`');

    public static byte[] Bytes(string cell) => Convert.FromHexString(Code(cell).Replace(" ", "", StringComparison.Ordinal));
}
