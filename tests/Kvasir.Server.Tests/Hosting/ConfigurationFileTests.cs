using System.Text;
using Kvasir.Server.Hosting;
using Kvasir.Server.Settings;
using Kvasir.Storage.Machine;

namespace Kvasir.Server.Tests.Hosting;

public sealed class ConfigurationFileTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    [Fact]
    public void RewriteChangesWhatWasChangedAndLeavesTheRest()
    {
        File.WriteAllText(_path, "# mine\ndata /srv\nmaxclients 10\ndurability sync\n");
        ServerSettings settings = new();
        ConfigurationFile file = new(new PosixFileSystem(), _path, settings);
        Assert.Null(file.Rewrite(settings));
        Assert.Equal("# mine\ndata /srv\nmaxclients 10\ndurability sync\n", File.ReadAllText(_path));
        settings.Set("maxclients", "20");
        settings.Set("appendfsync", "no");
        settings.Set("slowlog-max-len", "7");
        Assert.Null(file.Rewrite(settings));
        Assert.Equal("# mine\ndata /srv\nmaxclients 20\ndurability none\nslowlog-max-len 7\n", File.ReadAllText(_path));
        settings.Set("slowlog-max-len", "128");
        Assert.Null(file.Rewrite(settings));
        Assert.Equal("# mine\ndata /srv\nmaxclients 20\ndurability none\nslowlog-max-len 128\n", File.ReadAllText(_path));
    }

    [Fact]
    public void WhatRewriteWritesIsReadAtTheNextStart()
    {
        File.WriteAllText(_path, "data /srv\n");
        ServerSettings settings = new();
        ConfigurationFile file = new(new PosixFileSystem(), _path, settings);
        settings.Set("notify-keyspace-events", "KEA");
        settings.Set("requirepass", "a secret");
        settings.Set("maxmemory-policy", "allkeys-lfu");
        Assert.Null(file.Rewrite(settings));
        ServerOptions options = ServerOptionsReader.Read(_path, new Dictionary<string, string?>(StringComparer.Ordinal));
        Assert.Equal("a secret", options.Password);
        Assert.Equal("allkeys-lfu", options.Parameters["maxmemory-policy"]);
        Assert.Equal(settings["notify-keyspace-events"], options.Parameters["notify-keyspace-events"]);
    }

    [Theory]
    [InlineData("nonsense 1", "unknown key nonsense")]
    [InlineData("appendonly yes", "unknown key appendonly")]
    [InlineData("maxclients many", "maxclients is a number from 1 to 1000000, not many")]
    [InlineData("durability maybe", "durability is sync, interval or none, not maybe")]
    [InlineData("database-durability 77=sync", "database-durability is a list like 3=none,5=interval for databases 0 to 15, not 77=sync")]
    [InlineData("http", "http is one HOST:PORT, not ''")]
    [InlineData("http ,", "http is one HOST:PORT, not ','")]
    [InlineData("http 127.0.0.1:0,127.0.0.1:1", "http is one HOST:PORT, not '127.0.0.1:0,127.0.0.1:1'")]
    [InlineData("busy-poll-us -1", "busy-poll-us is a number from 0 to 1000000, not -1")]
    [InlineData("slowlog-max-len many", "slowlog-max-len: argument couldn't be parsed into an integer")]
    public void FileWithAWrongLineIsRefusedWithItsNumber(string line, string objection)
    {
        File.WriteAllText(_path, "data /srv\n" + line + "\n");
        StartupException e = Assert.Throws<StartupException>(() => ServerOptionsReader.Read(_path, new Dictionary<string, string?>(StringComparer.Ordinal)));
        Assert.Equal($"{_path}:2: {objection}", e.Message);
    }

    [Fact]
    public void NamesThatAreTooLongAreRefused()
    {
        StartupException e = Assert.Throws<StartupException>(() => Read("resp", new string('a', 300) + ":1"));
        Assert.StartsWith("resp: nobody knows the host aaa", e.Message, StringComparison.Ordinal);
        e = Assert.Throws<StartupException>(() => Read("unixsocket", "/tmp/" + new string('a', 103)));
        Assert.StartsWith("unixsocket is a path of at most 107 bytes, not /tmp/aaa", e.Message, StringComparison.Ordinal);
        Assert.NotNull(Read("unixsocket", "/tmp/" + new string('a', 102)).UnixSocket);

        static ServerOptions Read(string key, string value) =>
            ServerOptionsReader.Read(null, new Dictionary<string, string?>(StringComparer.Ordinal) { [key] = value });
    }

    [Fact]
    public void EveryOptionCanBeGiven()
    {
        // An option that the reader knows and the list does not could not be given at all.
        ServerOptions options = ServerOptionsReader.Read(null, new Dictionary<string, string?>(StringComparer.Ordinal) { ["busy-poll-us"] = "0" });
        Assert.Equal(TimeSpan.Zero, options.BusyPoll);
    }

    public void Dispose() => File.Delete(_path);
}
