using System.Net;

namespace Kvasir.Cli.Tests.Processes;

/// <summary>What a load balancer and a collector of metrics see.</summary>
public sealed class HttpTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-http-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("GET", "/health/live", HttpStatusCode.OK, "live")]
    [InlineData("GET", "/health/ready", HttpStatusCode.OK, "ready")]
    [InlineData("GET", "/metrics", HttpStatusCode.OK, "# TYPE kvasir_")]
    [InlineData("GET", "/other", HttpStatusCode.NotFound, "/health/ready")]
    [InlineData("POST", "/metrics", HttpStatusCode.MethodNotAllowed, "GET and HEAD")]
    [InlineData("DELETE", "/health/live", HttpStatusCode.MethodNotAllowed, "GET and HEAD")]
    public async Task EveryPathAnswersWhatItIsFor(string method, string path, HttpStatusCode status, string text)
    {
        using RunningServer server = await RunningServer.Start(_folder, "--http", "127.0.0.1:0");
        using HttpClient client = new() { BaseAddress = server.Http };
        using HttpRequestMessage request = new(new HttpMethod(method), path);
        using HttpResponseMessage response = await client.SendAsync(request);
        Assert.Equal(status, response.StatusCode);
        Assert.Contains(text, await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }
}
