namespace Kvasir.Cli.Shell;

/// <summary>The lines of an input as bytes, without the line feeds; the last one may lack its own.</summary>
internal static class InputLines
{
    private const int ReadBytes = 64 << 10;

    public static IEnumerable<byte[]> Of(Stream input)
    {
        byte[] buffer = new byte[ReadBytes];
        using var line = new MemoryStream();
        int read;
        while ((read = input.Read(buffer)) > 0)
        {
            int from = 0;
            int end;
            while ((end = Array.IndexOf(buffer, (byte)'\n', from, read - from)) >= 0)
            {
                line.Write(buffer, from, end - from);
                yield return line.ToArray();
                line.SetLength(0);
                from = end + 1;
            }

            line.Write(buffer, from, read - from);
        }

        if (line.Length > 0)
            yield return line.ToArray();
    }
}
