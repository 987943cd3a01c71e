using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Kvasir.Cli.CommandLine;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Shell;

/// <summary>
/// A connection that a person uses: remembers the database for the prompt, prints replies, connects again when the
/// server went away, and never sends a command twice (it may have been executed).
/// </summary>
internal sealed class ShellSession : IDisposable
{
    private readonly HostPort _address;
    private readonly string? _password;
    private readonly ReplyStyle _style;
    private readonly Stream _output;
    private readonly Lock _interruptLock = new();
    private RespConnection? _connection;
    private int _database;
    private bool _waits;
    private bool _interrupted;

    public ShellSession(HostPort address, string? password, int database, ReplyStyle style, Stream output)
    {
        _address = address;
        _password = password;
        _database = database;
        _style = style;
        _output = output;
        Connect();
    }

    public string Prompt =>
        (_connection is null ? "not connected" : _address.ToString())
        + (_database == 0 ? "" : $"[{_database.ToString(CultureInfo.InvariantCulture)}]") + "> ";

    /// <summary>Sends one command and prints what comes; false when that is an error.</summary>
    public bool Execute(byte[][] words)
    {
        string name = Encoding.UTF8.GetString(words[0]).ToUpperInvariant();
        RespConnection connection = _connection!;
        connection.Send(words);
        RespReply reply = connection.Receive();
        while (reply.Kind == RespReplyKind.Push && !name.EndsWith("SUBSCRIBE", StringComparison.Ordinal))
        {
            // The server had something else to say first, for instance that a tracked key has changed.
            Print(reply);
            reply = connection.Receive();
        }

        Print(reply);
        if (reply.Kind == RespReplyKind.Error)
            return false;
        if (name == "SELECT" && words.Length == 2
            && int.TryParse(Encoding.UTF8.GetString(words[1]), NumberStyles.None, CultureInfo.InvariantCulture, out int database))
            _database = database;

        // From here on the server speaks when it likes; Ctrl-C ends it.
        if (Listens(words))
        {
            while (true)
                Print(connection.Receive());
        }

        return true;
    }

    /// <summary>
    /// Ends a wait for the server: a person pressed Ctrl-C. The connection goes with it, as what it would still say has lost
    /// its question. Any thread.
    /// </summary>
    public void Interrupt()
    {
        lock (_interruptLock)
        {
            if (!_waits)
                return;
            _interrupted = true;
            _connection?.Dispose();
        }
    }

    public void ExecuteOrReconnect(byte[][] words)
    {
        try
        {
            if (_connection is null)
            {
                Connect();
                Console.WriteLine($"Connected again to {_address}.");
            }

            SetWaits(true);
            Execute(words);
        }
        catch (UsageException e)
        {
            Console.WriteLine("(error) " + e.Message);
        }
        catch (Exception e) when (e is IOException or SocketException or RespFormatException or ObjectDisposedException)
        {
            bool interrupted = SetWaits(false);
            _connection?.Dispose();
            _connection = null;
            if (interrupted)
                ConnectAfterInterrupt(words);
            else
                Console.WriteLine($"(error) {e.Message}. The command may or may not have been executed.");
        }
        finally
        {
            SetWaits(false);
        }
    }

    /// <summary>Asks the server about itself; null when it does not answer.</summary>
    public T? Guarded<T>(Func<CommandManual, T> ask)
        where T : class
    {
        try
        {
            return _connection is null ? null : ask(new CommandManual(_connection));
        }
        catch (Exception e) when (e is IOException or SocketException or RespFormatException)
        {
            _connection?.Dispose();
            _connection = null;
            return null;
        }
    }

    public void Dispose() => _connection?.Dispose();

    /// <summary>Whether it was interrupted before.</summary>
    private bool SetWaits(bool waits)
    {
        lock (_interruptLock)
        {
            bool interrupted = _interrupted;
            _waits = waits;
            _interrupted = false;
            return interrupted;
        }
    }

    private void ConnectAfterInterrupt(byte[][] words)
    {
        Console.WriteLine(Listens(words) ? "" : "\nThe command may or may not have been executed.");
        try
        {
            Connect();
        }
        catch (UsageException e)
        {
            Console.WriteLine("(error) " + e.Message);
        }
    }

    private static bool Listens(byte[][] words) =>
        Encoding.UTF8.GetString(words[0]).ToUpperInvariant() is "SUBSCRIBE" or "PSUBSCRIBE" or "SSUBSCRIBE" or "MONITOR";

    private void Connect()
    {
        RespConnection connection = RespConnection.Open(_address);
        try
        {
            connection.Greet(_password);
            if (_database != 0)
            {
                RespReply reply = connection.Call("SELECT", _database.ToString(CultureInfo.InvariantCulture));
                if (reply.Kind == RespReplyKind.Error)
                    throw new UsageException($"database {_database} cannot be selected: {reply.Text}");
            }
        }
        catch
        {
            connection.Dispose();
            throw;
        }

        _connection = connection;
    }

    private void Print(RespReply reply)
    {
        if (_style == ReplyStyle.Raw)
            ReplyText.Raw(reply, _output);
        else
            _output.Write(Encoding.UTF8.GetBytes((_style == ReplyStyle.Json ? ReplyText.Json(reply) : ReplyText.Pretty(reply)) + "\n"));
        _output.Flush();
    }
}
