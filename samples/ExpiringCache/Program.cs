using System.Globalization;
using Kvasir.Caching;
using Microsoft.Extensions.Caching.Distributed;

// A cache that survives restarts:  dotnet run --project samples/ExpiringCache -- --data ./cache --urls http://127.0.0.1:5081
//   curl http://127.0.0.1:5081/slow/7      -> two seconds the first time, at once for the next minute, also after a restart
WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(args);
builder.Services.AddKvasirCache(builder.Configuration["data"] ?? "./cache");
WebApplication app = builder.Build();

app.MapGet("/slow/{number:int}", async (int number, IDistributedCache cache, CancellationToken stop) =>
{
    string key = string.Create(CultureInfo.InvariantCulture, $"slow:{number}");
    if (await cache.GetStringAsync(key, stop) is { } known)
        return known;
    await Task.Delay(TimeSpan.FromSeconds(2), stop);
    string answer = string.Create(CultureInfo.InvariantCulture, $"{number} squared is {(long)number * number}\n");
    await cache.SetStringAsync(key, answer, new DistributedCacheEntryOptions { SlidingExpiration = TimeSpan.FromMinutes(1) }, stop);
    return answer;
});
app.Run();
