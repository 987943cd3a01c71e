using System.Buffers.Binary;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Kvasir.Samples.Tutorial;

/// <summary>
/// Records one behind the other: the lengths of key and value, then both. The two functions had to look for a comma and the end of
/// a line, so that neither could be in a key; lengths allow every byte. Appends are gathered; <see cref="Flush"/> writes them.
/// </summary>
internal sealed class RecordFile : IDisposable
{
    private const int HeaderBytes = 8;
    private const int GatheredMax = 64 << 10;
    private const int ReadAtOnce = 64 << 10;

    private readonly SafeFileHandle _file;
    private readonly MemoryStream _gathered = new();
    private long _written;

    public RecordFile(string path)
    {
        Path = path;
        _file = File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite);
        _written = RandomAccess.GetLength(_file);
    }

    public string Path { get; }

    public long Length => _written + _gathered.Length;

    /// <summary>Adds a record; returns where it begins.</summary>
    public long Append(string key, string value)
    {
        long at = Length;
        byte[] keyBytes = Encoding.UTF8.GetBytes(key), valueBytes = Encoding.UTF8.GetBytes(value);
        Span<byte> header = stackalloc byte[HeaderBytes];
        BinaryPrimitives.WriteInt32LittleEndian(header, keyBytes.Length);
        BinaryPrimitives.WriteInt32LittleEndian(header[4..], valueBytes.Length);
        _gathered.Write(header);
        _gathered.Write(keyBytes);
        _gathered.Write(valueBytes);
        if (_gathered.Length >= GatheredMax)
            Flush();
        return at;
    }

    public void Flush()
    {
        RandomAccess.Write(_file, _gathered.GetBuffer().AsSpan(0, (int)_gathered.Length), _written);
        _written += _gathered.Length;
        _gathered.SetLength(0);
    }

    /// <summary>The value of the record that begins there.</summary>
    public string ReadValue(long at)
    {
        Span<byte> header = stackalloc byte[HeaderBytes];
        Fill(header, at);
        (int keyBytes, int valueBytes) = Lengths(header);
        byte[] value = new byte[valueBytes];
        Fill(value, at + HeaderBytes + keyBytes);
        return Encoding.UTF8.GetString(value);
    }

    /// <summary>The records from there on, up to the end that is given, with one read for many.</summary>
    public IEnumerable<(long At, string Key, string Value)> ReadAll(long from, long to)
    {
        byte[] some = new byte[Math.Min(to - from, ReadAtOnce)];
        for (long at = from; at < to;)
        {
            int there = (int)Math.Min(to - at, some.Length);
            Fill(some.AsSpan(0, there), at);
            int next = 0;
            while (TryParse(some.AsSpan(next, there - next), out string key, out string value, out int bytes))
            {
                yield return (at + next, key, value);
                next += bytes;
            }

            at += next;
            if (next == 0)
                some = new byte[some.Length * 2];
        }
    }

    public void Dispose()
    {
        Flush();
        _file.Dispose();
    }

    private static bool TryParse(ReadOnlySpan<byte> bytes, out string key, out string value, out int length)
    {
        (key, value, length) = ("", "", 0);
        if (bytes.Length < HeaderBytes)
            return false;
        (int keyBytes, int valueBytes) = Lengths(bytes);
        length = HeaderBytes + keyBytes + valueBytes;
        if (bytes.Length < length)
            return false;
        key = Encoding.UTF8.GetString(bytes.Slice(HeaderBytes, keyBytes));
        value = Encoding.UTF8.GetString(bytes.Slice(HeaderBytes + keyBytes, valueBytes));
        return true;
    }

    private static (int KeyBytes, int ValueBytes) Lengths(ReadOnlySpan<byte> header) =>
        (BinaryPrimitives.ReadInt32LittleEndian(header), BinaryPrimitives.ReadInt32LittleEndian(header[4..]));

    private void Fill(Span<byte> bytes, long at)
    {
        if (at + bytes.Length > _written)
            Flush();
        if (RandomAccess.Read(_file, bytes, at) < bytes.Length)
            throw new EndOfStreamException($"{Path} ends within the record at {at}");
    }
}
