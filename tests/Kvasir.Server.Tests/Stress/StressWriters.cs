using System.Net;

namespace Kvasir.Server.Tests.Stress;

/// <summary>Clients of a crew that write for as long as it goes on, each keys of its own.</summary>
internal sealed class StressWriters : IDisposable
{
    private readonly List<StressWriter> _writers = [];

    public StressWriters(Crew crew, IPEndPoint server, int count, ulong seed)
    {
        for (int i = 0; i < count; i++)
        {
            StressWriter writer = new(server, i, (seed * 1000) + (ulong)i);
            _writers.Add(writer);
            crew.Add($"writer {i}", () =>
            {
                while (crew.GoesOn)
                    writer.Round();
            });
        }
    }

    public long SharedIncrements => _writers.Sum(static w => w.SharedIncrements);

    public long Commands => _writers.Sum(static w => w.Commands);

    /// <summary>Has the server read everything from its disk anew, and asks for all that was written.</summary>
    public void VerifyAfterReload(RespClient client)
    {
        Assert.Equal("OK", client.Call("DEBUG", "RELOAD"));
        foreach (StressWriter writer in _writers)
            writer.Verify();
    }

    public void Dispose()
    {
        foreach (StressWriter writer in _writers)
            writer.Dispose();
    }
}
