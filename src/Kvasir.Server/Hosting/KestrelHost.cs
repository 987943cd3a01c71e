using System.Net;
using Kvasir.Server.Metrics;
using Kvasir.Server.Sessions;
using Kvasir.Server.Transport;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Kvasir.Server.Hosting;

/// <summary>What Kestrel serves: HTTP for health and metrics, RESP over TLS, and plain RESP where there is no epoll.</summary>
internal sealed class KestrelHost : IAsyncDisposable
{
    // Connections to HTTP are few, and each comes for one small page, now and then.
    private static readonly TimeSpan s_httpPatience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_httpIdle = TimeSpan.FromMinutes(1);

    // It counts as a client before it has shown that it is one.
    private static readonly TimeSpan s_handshakePatience = TimeSpan.FromSeconds(5);

    private readonly WebApplication _application;
    private readonly ServerState _server;
    private readonly ServerOptions _options;
    private readonly PrometheusPage _page;

    // An object of its own: ports of which the system is to choose are told apart by it.
    private readonly IPEndPoint? _http;
    private readonly bool _plainResp;

    public KestrelHost(ServerState server, ServerOptions options, bool plainResp, ServerCertificates? certificates, ILoggerFactory logging)
    {
        _server = server;
        _options = options;
        _plainResp = plainResp;
        _http = options.Http is { } http ? new IPEndPoint(http.Address, http.Port) : null;
        _page = new PrometheusPage(server);
        Handler = new KestrelRespHandler(server, clientsShowCertificates: !plainResp && options.Tls?.ClientAuthority is not null);
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton(logging);
        builder.Services.AddSingleton(Handler);
        builder.Services.AddSingleton<IHostLifetime, QuietLifetime>();
        builder.Services.Configure<SocketTransportOptions>(o =>
        {
            o.UnsafePreferInlineScheduling = true;
            o.Backlog = options.Backlog;
        });
        builder.WebHost.UseKestrelCore();

        // Kestrel takes the last that was added.
        builder.Services.AddSingleton<IConnectionListenerFactory>(services => new CountedListenerFactory(
            services.GetRequiredService<IOptions<SocketTransportOptions>>(), logging, AdmissionOf));
        if (options.Tls is not null)
            builder.WebHost.UseKestrelHttpsConfiguration();
        Certificates = certificates;
        builder.WebHost.ConfigureKestrel(Configure);
        _application = builder.Build();
        Map();
    }

    public KestrelRespHandler Handler { get; }

    /// <summary>Null where TLS is not served.</summary>
    public ServerCertificates? Certificates { get; }

    public IReadOnlyList<IPEndPoint> Resp { get; private set; } = [];

    public IReadOnlyList<IPEndPoint> RespTls { get; private set; } = [];

    public IPEndPoint? Http { get; private set; }

    public async Task Start()
    {
        await _application.StartAsync();
        IPEndPoint[] bound = [.. _application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!
            .Addresses.Select(static a => IPEndPoint.Parse(new Uri(a).Authority))];

        // Kestrel reports addresses in the order in which they were configured.
        int next = 0;
        if (_options.Http is not null)
            Http = bound[next++];
        if (_plainResp)
        {
            Resp = bound[next..(next + _options.Resp.Count)];
            next += _options.Resp.Count;
        }

        RespTls = bound[next..];
    }

    public async ValueTask DisposeAsync()
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(2));
        foreach (RespSession session in _server.Clients.All)
        {
            if (session.Owner is KestrelConnection)
                session.Kill();
        }

        await _application.StopAsync(limit.Token);
        await _application.DisposeAsync();
        Handler.Dispose();
        _page.Dispose();
    }

    private void Configure(KestrelServerOptions kestrel)
    {
        kestrel.AddServerHeader = false;
        kestrel.Limits.RequestHeadersTimeout = s_httpPatience;
        kestrel.Limits.KeepAliveTimeout = s_httpIdle;
        if (_http is not null)
            kestrel.Listen(_http);
        if (_plainResp)
        {
            foreach (IPEndPoint endPoint in _options.Resp)
                kestrel.Listen(endPoint, static listen => listen.UseConnectionHandler<KestrelRespHandler>());
        }

        if (Certificates is not { } certificates)
            return;
        foreach (IPEndPoint endPoint in _options.RespTls)
        {
            kestrel.Listen(endPoint, listen =>
            {
                listen.UseHttps(new TlsHandshakeCallbackOptions
                {
                    OnConnection = _ => ValueTask.FromResult(certificates.AsServer()),
                    HandshakeTimeout = s_handshakePatience,
                });
                listen.UseConnectionHandler<KestrelRespHandler>();
            });
        }
    }

    private ConnectionAdmission AdmissionOf(EndPoint endPoint) =>
        ReferenceEquals(endPoint, _http) ? new HttpAdmission(_options.HttpConnectionsMax)
        : new ClientAdmission(_server, tls: _options.RespTls.Any(t => ReferenceEquals(t, endPoint)));

    private void Map()
    {
        _application.Run(context => context.Request.Path.Value switch
        {
            _ when !HttpMethods.IsGet(context.Request.Method) && !HttpMethods.IsHead(context.Request.Method) => Refuse(context),
            "/health/live" => Answer(context, 200, "live\n"),
            "/health/ready" => _server.Node.Log.Refusal is { } refusal
                ? Answer(context, 503, refusal.Code + " " + refusal.Message + "\n")
                : Answer(context, 200, "ready\n"),
            "/metrics" => Answer(context, 200, _page.Write(), "text/plain; version=0.0.4; charset=utf-8"),
            _ => Answer(context, 404, "there is /health/live, /health/ready and /metrics\n"),
        });
    }

    private static Task Refuse(HttpContext context)
    {
        context.Response.Headers.Allow = "GET, HEAD";
        return Answer(context, 405, "there is nothing here to change: GET and HEAD only\n");
    }

    private static Task Answer(HttpContext context, int status, string text, string type = "text/plain; charset=utf-8")
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = type;
        return context.Response.WriteAsync(text);
    }
}

/// <summary>The program itself hears signals and starts the server; Kestrel's host only follows.</summary>
internal sealed class QuietLifetime : IHostLifetime
{
    public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
