using System.Diagnostics;
using System.Net.Sockets;
using Kvasir.Cli.CommandLine;
using Kvasir.Cli.LocalClusters;
using Kvasir.Cli.Shell;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Torture;

/// <summary>A server of this program in a process of its own, on loopback, to be killed.</summary>
internal sealed class ServerProcess : IDisposable
{
    private readonly Process _process;

    private ServerProcess(Process process, HostPort address)
    {
        _process = process;
        Address = address;
    }

    public HostPort Address { get; }

    /// <summary>Starts a server and waits until it answers; <paramref name="patience"/> bounds the wait.</summary>
    public static ServerProcess Start(string data, string durability, TimeSpan patience)
    {
        HostPort address = new("127.0.0.1", FreePorts.Take(1)[0]);
        Process process = ThisProgram.Start("server", "--data", data, "--resp", address.ToString(), "--durability", durability);
        List<string> said = [];
        DataReceivedEventHandler note = (_, e) =>
        {
            lock (said)
            {
                if (e.Data is not null && said.Count < 50)
                    said.Add(e.Data);
            }
        };
        process.OutputDataReceived += note;
        process.ErrorDataReceived += note;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        ServerProcess server = new(process, address);
        Stopwatch waited = Stopwatch.StartNew();
        while (!server.Answers())
        {
            if (process.HasExited || waited.Elapsed > patience)
            {
                server.Dispose();
                lock (said)
                    throw new TortureFailedException($"the server did not come up: {string.Join(" | ", said)}");
            }

            Thread.Sleep(10);
        }

        return server;
    }

    /// <summary>SIGKILL; returns when the process is gone.</summary>
    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    public void Dispose()
    {
        if (!_process.HasExited)
            Kill();
        _process.Dispose();
    }

    private bool Answers()
    {
        try
        {
            using RespConnection connection = RespConnection.Open(Address);
            return connection.Call("PING").Kind == RespReplyKind.SimpleString;
        }
        catch (Exception e) when (e is UsageException or IOException or SocketException)
        {
            return false;
        }
    }
}

/// <summary>The database broke a promise under torture.</summary>
internal sealed class TortureFailedException : Exception
{
    public TortureFailedException() { }

    public TortureFailedException(string message) : base(message) { }

    public TortureFailedException(string message, Exception? inner) : base(message, inner) { }
}
