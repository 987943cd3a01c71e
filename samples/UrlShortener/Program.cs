using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Serialization;
using Kvasir.Samples.UrlShortener;
using Kvasir.Storage.Embedded;
using Kvasir.Storage.Engines;
using Kvasir.Storage.Files;

// A URL shortener, the whole of it:  dotnet run --project samples/UrlShortener -- --data ./links --urls http://127.0.0.1:5080
//   curl -d 'https://example.org/a/long/one' 'http://127.0.0.1:5080/?days=30'     -> a short address
//   curl -i http://127.0.0.1:5080/Xk3v9aQ                                         -> there, and counted
//   curl http://127.0.0.1:5080/Xk3v9aQ/stats
WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(args);
builder.Services.ConfigureHttpJsonOptions(o => o.SerializerOptions.TypeInfoResolverChain.Add(LinkJson.Default));
builder.Services.AddSingleton(s => new Links(s.GetRequiredService<IConfiguration>()["data"] ?? "./links"));
builder.Services.AddHostedService<HitWriter>();
WebApplication app = builder.Build();

app.MapPost("/", async (HttpRequest request, Links links, int? days) =>
{
    string text = await new StreamReader(request.Body, Encoding.UTF8).ReadToEndAsync();
    if (!Uri.TryCreate(text.Trim(), UriKind.Absolute, out Uri? target) || target.Scheme is not ("http" or "https"))
        return Results.Text("The body must be an absolute address with http or https.\n", statusCode: StatusCodes.Status400BadRequest);
    if (days is <= 0 or > 36_500)
        return Results.Text("days must be from 1 to 36500.\n", statusCode: StatusCodes.Status400BadRequest);
    string code = links.Add(target, days is { } d ? TimeSpan.FromDays(d) : null);
    return Results.Text($"{request.Scheme}://{request.Host}/{code}\n", statusCode: StatusCodes.Status201Created);
});
app.MapGet("/{code}", (string code, Links links) => links.Follow(code) is { } target ? Results.Redirect(target) : Results.NotFound());
app.MapGet("/{code}/stats", (string code, Links links) => links.Look(code) is { } link ? Results.Ok(link) : Results.NotFound());
app.Run();

namespace Kvasir.Samples.UrlShortener
{
    internal sealed record Link(string Target, long Hits, DateTimeOffset? ExpiresAt);

    [JsonSerializable(typeof(Link))]
    internal sealed partial class LinkJson : JsonSerializerContext;

    /// <summary>Under l/CODE is where a link leads, under h/CODE how often it was followed.</summary>
    internal sealed class Links(string folder) : IDisposable
    {
        private const string Letters = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        private const int CodeLength = 7;

        // Links are read far more often than they are made: a B+tree.
        private readonly OrderedStore _store = OrderedStore.Open(folder, new StoreOptions { Engine = OrderedStoreEngine.BTree });
        private readonly ConcurrentDictionary<string, long> _hits = new(StringComparer.Ordinal);
        private readonly Lock _adding = new();

        public string Add(Uri target, TimeSpan? timeToLive)
        {
            lock (_adding)
            {
                string code;
                do
                    code = RandomNumberGenerator.GetString(Letters, CodeLength);
                while (_store.Contains("l/" + code));
                _store.Put("l/" + code, target.AbsoluteUri, timeToLive);
                return code;
            }
        }

        public string? Follow(string code)
        {
            string? target = _store.GetString("l/" + code);
            if (target is not null)
                _hits.AddOrUpdate(code, 1, static (_, hits) => hits + 1);
            return target;
        }

        public Link? Look(string code)
        {
            using ValueLease link = _store.Lease(Encoding.UTF8.GetBytes("l/" + code));
            if (!link.Found)
                return null;
            return new Link(Encoding.UTF8.GetString(link.Value), HitsOf(code) + _hits.GetValueOrDefault(code), link.ExpiresAt);
        }

        /// <summary>Hits are counted in memory, and all of a second are one write: a link that everybody follows costs no more than another.</summary>
        public void WriteHits()
        {
            var batch = new WriteBatch();
            Span<byte> count = stackalloc byte[8];
            foreach (string code in _hits.Keys)
            {
                // They go when the link goes.
                using ValueLease link = _store.Lease(Encoding.UTF8.GetBytes("l/" + code));
                if (!_hits.TryRemove(code, out long hits) || !link.Found)
                    continue;
                BinaryPrimitives.WriteInt64LittleEndian(count, HitsOf(code) + hits);
                batch.Put(Encoding.UTF8.GetBytes("h/" + code), count, link.ExpiresAt?.ToUnixTimeMilliseconds() ?? 0);
            }

            _store.Write(batch);
        }

        public void Dispose()
        {
            WriteHits();
            _store.Dispose();
        }

        private long HitsOf(string code) => _store.Get(Encoding.UTF8.GetBytes("h/" + code)) is { } count ? BinaryPrimitives.ReadInt64LittleEndian(count) : 0;
    }

    internal sealed class HitWriter(Links links) : BackgroundService
    {
        protected override async Task ExecuteAsync(CancellationToken stoppingToken)
        {
            using var second = new PeriodicTimer(TimeSpan.FromSeconds(1));
            while (await second.WaitForNextTickAsync(stoppingToken))
            {
                try
                {
                    links.WriteHits();
                }
                catch (WritesStoppedException)
                {
                    // The disk is full: links are followed all the same, and these hits are not counted.
                }
            }
        }
    }
}
