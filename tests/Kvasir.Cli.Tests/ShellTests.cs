using System.Diagnostics;
using System.Globalization;
using System.Text;
using Kvasir.Cli.Shell;

namespace Kvasir.Cli.Tests;

public sealed class ShellTests : IDisposable
{
    private readonly SmallServer _server = new();

    public void Dispose() => _server.Dispose();

    [Fact]
    public async Task OneCommandIsSentAndItsReplyPrinted()
    {
        Assert.Equal("OK\n", (await Shell("SET", "a", "b")).AssertSuccess().Output);
        Assert.Equal("b\n", (await Shell("GET", "a")).AssertSuccess().Output);
        Assert.Equal("\n", (await Shell("GET", "missing")).AssertSuccess().Output);
    }

    [Fact]
    public async Task WordsThatLookLikeFlagsGoToTheServer()
    {
        (await Shell("SET", "a", "--json")).AssertSuccess();
        Assert.Equal("--json\n", (await Shell("GET", "a")).AssertSuccess().Output);
        (await Shell("SET", "n", "-1")).AssertSuccess();
        Assert.Equal("-1\n", (await Shell("GET", "n")).AssertSuccess().Output);
    }

    [Fact]
    public async Task AnErrorFromTheServerIsExitCodeOne()
    {
        Outcome outcome = await Shell("DANCE");
        Assert.Equal(1, outcome.ExitCode);
        Assert.StartsWith("ERR unknown command 'DANCE'", outcome.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task LinesFromStandardInputAreCommands()
    {
        Outcome outcome = await KvasirProcess.RunWithInput(
            "SET \"a key\" \"x\\ty\"\n\nGET 'a key'\nINCR n\n", "shell", "--port", Port, "--json");
        Assert.Equal("\"OK\"\n\"x\\ty\"\n1\n", outcome.AssertSuccess().Output);
    }

    [Fact]
    public async Task LinesThatAreNoTextArriveAsTheyAre()
    {
        using Process shell = KvasirProcess.Start("shell", "--port", Port);
        byte[] lines = [.. "SET "u8, 0xFF, .. " \""u8, 0xFE, 0xC3, .. "\"\r\nSET a\u00a0b 'c"u8, 0xE2, 0x80, .. "'"u8];
        await shell.StandardInput.BaseStream.WriteAsync(lines);
        (await KvasirProcess.Finish(shell)).AssertSuccess();

        Assert.Equal(["534554 FF FEC3", "534554 61C2A062 63E280"], Received);
    }

    [Fact]
    public async Task ArgumentsThatAreNoTextArriveAsTheyAre()
    {
        if (!OperatingSystem.IsLinux())
            return;

        // A platform that decodes the arguments of its programs cannot pass these on by itself.
        using Process shell = KvasirProcess.StartUnder(
            ["sh", "-c", "exec \"$0\" \"$@\" \"$(printf 'k\\377')\" \"$(printf '\\376\\303')\" ''"],
            new Dictionary<string, string>(StringComparer.Ordinal), "shell", "--port", Port, "SET");
        (await KvasirProcess.Finish(shell)).AssertSuccess();

        Assert.Equal(["534554 6BFF FEC3 "], Received);
    }

    [Fact]
    public async Task AnUnclosedQuoteIsRefusedWithItsLine()
    {
        Outcome outcome = await KvasirProcess.RunWithInput("SET \"a", "shell", "--port", Port);
        Assert.Contains("line 1", outcome.AssertUsageError(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task AWrongPasswordIsAUsageError()
    {
        using var guarded = new SmallServer { Password = "sesame" };
        string port = guarded.Port.ToString(CultureInfo.InvariantCulture);
        Outcome wrong = await KvasirProcess.Run("shell", "--port", port, "-a", "nope", "GET", "a");
        Assert.Contains("WRONGPASS", wrong.AssertUsageError(), StringComparison.Ordinal);
        (await KvasirProcess.Run("shell", "--port", port, "-a", "sesame", "GET", "a")).AssertSuccess();
    }

    [Fact]
    public void AnInterruptEndsASubscriptionAndTheNextCommandIsAnswered()
    {
        using var output = new WatchedOutput();
        using var session = new ShellSession(Address, password: null, database: 0, ReplyStyle.Json, output);
        output.Written = text =>
        {
            if (text.Contains("subscribe", StringComparison.Ordinal))
                session.Interrupt();
        };

        session.ExecuteOrReconnect(["SUBSCRIBE"u8.ToArray(), "news"u8.ToArray()]);
        session.ExecuteOrReconnect(["SET"u8.ToArray(), "a"u8.ToArray(), "b"u8.ToArray()]);

        Assert.Equal("[\"subscribe\",\"news\",1]\n\"OK\"\n", output.Text);
        Assert.StartsWith("127.0.0.1", session.Prompt, StringComparison.Ordinal);
    }

    [Fact]
    public void AnInterruptBetweenCommandsIsNone()
    {
        using var output = new WatchedOutput();
        using var session = new ShellSession(Address, password: null, database: 0, ReplyStyle.Json, output);

        session.Interrupt();
        session.ExecuteOrReconnect(["GET"u8.ToArray(), "a"u8.ToArray()]);

        Assert.Equal("null\n", output.Text);
    }

    [Fact]
    public void AMessageBeforeTheReplyIsNotTakenForIt()
    {
        using var output = new WatchedOutput();
        using var session = new ShellSession(Address, password: null, database: 0, ReplyStyle.Json, output);

        session.ExecuteOrReconnect(["GET"u8.ToArray(), "tracked"u8.ToArray()]);
        session.ExecuteOrReconnect(["GET"u8.ToArray(), "missing"u8.ToArray()]);

        Assert.Equal("[\"invalidate\",[\"a\"]]\n\"value\"\nnull\n", output.Text);
    }

    private CommandLine.HostPort Address => new("127.0.0.1", _server.Port);

    private string Port => _server.Port.ToString(CultureInfo.InvariantCulture);

    private IEnumerable<string> Received => _server.Received.Select(command => string.Join(' ', command.Select(Convert.ToHexString)));

    private Task<Outcome> Shell(params string[] words) => KvasirProcess.Run(["shell", "--port", Port, .. words]);
}

/// <summary>Tells of what is written as it is written.</summary>
internal sealed class WatchedOutput : MemoryStream
{
    public Action<string>? Written { get; set; }

    public string Text => Encoding.UTF8.GetString(ToArray());

    public override void Flush() => Written?.Invoke(Text);
}

public sealed class CommandWordsTests
{
    [Theory]
    [InlineData("", "")]
    [InlineData("  get   a ", "get|a")]
    [InlineData("set a \"b c\"", "set|a|b c")]
    [InlineData("set a 'b \"c'", "set|a|b \"c")]
    [InlineData("set a 'it\\'s'", "set|a|it's")]
    [InlineData("set a \"x\\x41\\n\\\\\"", "set|a|xA\n\\")]
    [InlineData("set \"\" ''", "set||")]
    [InlineData("get å", "get|å")]
    public void LinesSplitByTheRulesOfRedisCli(string line, string words) =>
        Assert.Equal(words, string.Join('|', Shell.CommandWords.Split(Encoding.UTF8.GetBytes(line))!.Select(Encoding.UTF8.GetString)));

    [Theory]
    [InlineData("set \"a")]
    [InlineData("set 'a")]
    [InlineData("set \"a\"b")]
    [InlineData("set \"a\\")]
    public void UnclosedQuotesAreRefused(string line) => Assert.Null(Shell.CommandWords.Split(Encoding.UTF8.GetBytes(line)));

    [Theory]
    [InlineData("$-1\r\n", "(nil)", "null")]
    [InlineData(":5\r\n", "(integer) 5", "5")]
    [InlineData("-ERR x\r\n", "(error) ERR x", "{\"error\":\"ERR x\"}")]
    [InlineData("$3\r\na\"b\r\n", "\"a\\\"b\"", "\"a\\\"b\"")]
    [InlineData("*0\r\n", "(empty array)", "[]")]
    [InlineData("*2\r\n$1\r\na\r\n*2\r\n:1\r\n_\r\n", "1) \"a\"\n2) 1) (integer) 1\n   2) (nil)", "[\"a\",[1,null]]")]
    [InlineData("%1\r\n+k\r\n#t\r\n", "1# k => (true)", "{\"k\":true}")]
    [InlineData(",inf\r\n", "(double) inf", "\"inf\"")]
    [InlineData(",1.5\r\n", "(double) 1.5", "1.5")]
    [InlineData("=8\r\ntxt:abcd\r\n", "abcd", "\"abcd\"")]
    public void RepliesReadAsInRedisCliAndAsJson(string bytes, string pretty, string json)
    {
        Shell.RespReply reply = Shell.RespReply.Parse(Encoding.ASCII.GetBytes(bytes));
        Assert.Equal(pretty, Shell.ReplyText.Pretty(reply));
        Assert.Equal(json, Shell.ReplyText.Json(reply));
    }

    [Fact]
    public void QuotingShowsEveryByte() =>
        Assert.Equal("\"\\x00\\xff\\n\\\\é\"", Shell.ReplyText.Quote([0, 0xFF, (byte)'\n', (byte)'\\', 0xC3, 0xA9]));
}
