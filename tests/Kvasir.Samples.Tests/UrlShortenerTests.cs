using System.Diagnostics;
using System.Net;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace Kvasir.Samples.Tests;

/// <summary>The sample as users get it: trimmed, compiled ahead of time, one file.</summary>
public sealed partial class UrlShortenerTests : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task PublishedAsOneTrimmedFileItShortensCountsAndRemembers()
    {
        string published = Path.Combine(_folder, "published");
        string log = await Publish(published);
        Assert.DoesNotContain("warning", log, StringComparison.OrdinalIgnoreCase);
        string program = Path.Combine(published, "Kvasir.Samples.UrlShortener");
        Assert.InRange(new FileInfo(program).Length, 10L << 20, 60L << 20);

        const string Target = "https://example.org/a/long/one?x=1";
        string path;
        using (var server = await Server.Start(program, Path.Combine(_folder, "links")))
        {
            HttpResponseMessage made = await server.Client.PostAsync("/?days=30", new StringContent(Target));
            Assert.Equal(HttpStatusCode.Created, made.StatusCode);
            path = new Uri((await made.Content.ReadAsStringAsync()).Trim()).AbsolutePath;
            for (int i = 0; i < 3; i++)
            {
                HttpResponseMessage followed = await server.Client.GetAsync(path);
                Assert.Equal((HttpStatusCode.Redirect, Target), (followed.StatusCode, followed.Headers.Location?.AbsoluteUri));
            }

            Assert.Contains("\"hits\":3", await server.Client.GetStringAsync(path + "/stats"), StringComparison.Ordinal);
            Assert.Equal(HttpStatusCode.BadRequest, (await server.Client.PostAsync("/", new StringContent("no address"))).StatusCode);
            Assert.Equal(HttpStatusCode.NotFound, (await server.Client.GetAsync("/none")).StatusCode);
            await server.Stop();
        }

        using var again = await Server.Start(program, Path.Combine(_folder, "links"));
        string stats = await again.Client.GetStringAsync(path + "/stats");
        Assert.Contains("\"hits\":3", stats, StringComparison.Ordinal);
        Assert.Contains("\"expiresAt\":\"", stats, StringComparison.Ordinal);
        await again.Stop();
    }

    private static async Task<string> Publish(string folder)
    {
        string project = Path.Combine(Path.GetDirectoryName(SourcePath())!, "../../samples/UrlShortener");

        // What analyzers say of the same sources stopped the build of the solution, which all tests come after; the trimmer runs here.
        var start = new ProcessStartInfo(
            Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet",
            ["publish", project, "-c", "Release", "-r", RuntimeInformation.RuntimeIdentifier, "-o", folder, "-p:RunAnalyzers=false", "--disable-build-servers", "-v", "minimal"])
        {
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        using Process publishing = Process.Start(start)!;
        string log = await publishing.StandardOutput.ReadToEndAsync();
        await publishing.WaitForExitAsync();
        Assert.True(publishing.ExitCode == 0, log);
        return log;
    }

    private static string SourcePath([CallerFilePath] string path = "") => path;

    [GeneratedRegex(@"http://127\.0\.0\.1:\d+")]
    private static partial Regex Address();

    private sealed class Server : IDisposable
    {
        private readonly Process _process;

        private Server(Process process, Uri address)
        {
            _process = process;
            Client = new HttpClient(new HttpClientHandler { AllowAutoRedirect = false }) { BaseAddress = address };
        }

        public HttpClient Client { get; }

        public static async Task<Server> Start(string program, string folder)
        {
            Process process = Process.Start(new ProcessStartInfo(program, ["--data", folder, "--urls", "http://127.0.0.1:0"])
            {
                RedirectStandardOutput = true,
                UseShellExecute = false,
            })!;
            using var patience = new CancellationTokenSource(s_patience);
            while (await process.StandardOutput.ReadLineAsync(patience.Token) is { } line)
            {
                if (Address().Match(line) is { Success: true } match)
                    return new Server(process, new Uri(match.Value));
            }

            throw new InvalidOperationException("the server ended before it listened");
        }

        /// <summary>As a terminal's Ctrl-C or a supervisor does; it ends cleanly.</summary>
        public async Task Stop()
        {
            using Process kill = Process.Start("kill", ["-TERM", _process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
            await kill.WaitForExitAsync();
            await _process.StandardOutput.ReadToEndAsync();
            await _process.WaitForExitAsync();
            Assert.Equal(0, _process.ExitCode);
        }

        public void Dispose()
        {
            Client.Dispose();
            if (!_process.HasExited)
                _process.Kill();
            _process.Dispose();
        }
    }
}
