using System.Globalization;
using System.Net.Sockets;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.Shell;
using Kvasir.Primitives;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Torture;

/// <summary>
/// One client that writes until its server dies, remembers what was answered, and can say afterwards whether all of it is
/// there. Its keys are its own, so what it finds is decided by its own writes alone:
/// <list type="bullet">
/// <item>numbered keys, written once: each answered one must be there, whole;</item>
/// <item>a counter: at least the answered increments, at most those sent;</item>
/// <item>an appended list: a prefix of what was sent, with all that was answered;</item>
/// <item>two keys in different databases, set together by MULTI: equal.</item>
/// </list>
/// </summary>
internal sealed class TortureClient
{
    private const int RepliesOfARound = 9;

    private readonly int _number;
    private readonly SeededRandom _random;
    private int _sent;
    private int _answered;

    public TortureClient(int number, SeededRandom random)
    {
        _number = number;
        _random = random;
    }

    public int Answered => _answered;

    /// <summary>Writes until the connection breaks.</summary>
    public void WriteUntilKilled(HostPort address)
    {
        try
        {
            using RespConnection connection = RespConnection.Open(address);
            while (true)
            {
                int depth = _random.OneIn(4) ? _random.Next(1, 30) : 1;
                for (int i = 0; i < depth; i++)
                    SendRound(connection, ++_sent);
                for (int i = 0; i < depth; i++)
                {
                    for (int reply = 0; reply < RepliesOfARound; reply++)
                    {
                        RespReply got = connection.Receive();
                        if (got.Kind == RespReplyKind.Error)
                            throw new TortureFailedException($"client {_number}: the server answered {got.Text}");
                    }

                    _answered++;
                }
            }
        }
        catch (Exception e) when (e is SocketException or IOException or UsageException)
        {
            // That is what was wanted.
        }
    }

    /// <summary>Compares what a restarted server has with what was answered, and goes on from there.</summary>
    public void Verify(HostPort address)
    {
        using RespConnection connection = RespConnection.Open(address);
        for (int i = 1; i <= _answered; i++)
        {
            // All of the last stretch, and a sample of what earlier rounds looked at already.
            if (i < _answered - 300 && !_random.OneIn(20))
                continue;
            Expect(connection.Call("GET", Key("n", i)).Text == Value(i), $"key {i} of {_answered} answered ones is lost or wrong");
        }

        long counter = Number(connection.Call("GET", Key("counter", 0)));
        Expect(counter >= _answered && counter <= _sent, $"the counter is {counter}, with {_answered} answered and {_sent} sent");
        string list = connection.Call("GET", Key("list", 0)).Text;
        int length = list.Count(c => c == ';');
        Expect(length >= _answered && length <= _sent, $"the list has {length} items, with {_answered} answered and {_sent} sent");
        Expect(list == string.Concat(Enumerable.Range(1, length).Select(Item)), "the list is not what was appended, in order");
        long left = Number(connection.Call("GET", Key("pair", 0)));
        Expect(connection.Call("SELECT", "1").Kind != RespReplyKind.Error, "SELECT 1 failed");
        long right = Number(connection.Call("GET", Key("pair", 0)));
        Expect(left == right, $"a transaction is half there: {left} in one database, {right} in the other");
        Expect(left >= _answered && left <= _sent, $"the pair is {left}, with {_answered} answered and {_sent} sent");

        // Those in doubt are decided now. What is beyond the decided ones is removed, so that the next round starts even.
        connection.Call("SELECT", "0");
        int decided = (int)left;
        for (int i = decided; i <= _sent; i++)
            connection.Call("SET", Key("n", i), Value(i));
        connection.Call("SET", Key("counter", 0), Text(_sent));
        connection.Call("SET", Key("list", 0), string.Concat(Enumerable.Range(1, _sent).Select(Item)));
        connection.Call("SET", Key("pair", 0), Text(_sent));
        connection.Call("SELECT", "1");
        Expect(connection.Call("SET", Key("pair", 0), Text(_sent)).Text == "OK", "a restarted server refused a write");
        _answered = _sent;
    }

    private void SendRound(RespConnection connection, int i)
    {
        connection.Send("SET", Key("n", i), Value(i));
        connection.Send("INCR", Key("counter", 0));
        connection.Send("APPEND", Key("list", 0), Item(i));
        connection.Send("MULTI");
        connection.Send("SET", Key("pair", 0), Text(i));
        connection.Send("SELECT", "1");
        connection.Send("SET", Key("pair", 0), Text(i));
        connection.Send("SELECT", "0");
        connection.Send("EXEC");
    }

    private string Key(string kind, int i) => $"torture:{_number}:{kind}:{i}";

    private static string Value(int i) => $"value-{i}-{StableHash.Hash64(BitConverter.GetBytes(i)):x16}";

    private static string Item(int i) => Text(i) + ";";

    private static string Text(int i) => i.ToString(CultureInfo.InvariantCulture);

    private static long Number(RespReply reply) => reply.Kind == RespReplyKind.Null || reply.Bytes.Length == 0
        ? 0
        : long.Parse(reply.Text, CultureInfo.InvariantCulture);

    private void Expect(bool holds, string otherwise)
    {
        if (!holds)
            throw new TortureFailedException($"client {_number}: {otherwise}");
    }
}
