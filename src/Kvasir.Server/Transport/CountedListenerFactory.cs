using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Kvasir.Server.Transport;

/// <summary>
/// Kestrel's sockets, each of them admitted as soon as it is accepted. Kestrel's own limit is met by tasks that run later: by
/// then more files are open than there may be, and one that is missing ends the process.
/// </summary>
internal sealed class CountedListenerFactory(
    IOptions<SocketTransportOptions> options, ILoggerFactory logging, Func<EndPoint, ConnectionAdmission> admissions)
    : IConnectionListenerFactory
{
    private readonly SocketTransportFactory _sockets = new(options, logging);

    public async ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
        new CountedListener(await _sockets.BindAsync(endpoint, cancellationToken), admissions(endpoint));

    private sealed class CountedListener(IConnectionListener sockets, ConnectionAdmission admission) : IConnectionListener
    {
        public EndPoint EndPoint => sockets.EndPoint;

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            while (await sockets.AcceptAsync(cancellationToken) is { } accepted)
            {
                if (admission.Enter())
                    return new CountedConnection(accepted, admission);
                await Refuse(accepted);
            }

            return null;
        }

        public ValueTask UnbindAsync(CancellationToken cancellationToken = default) => sockets.UnbindAsync(cancellationToken);

        public ValueTask DisposeAsync() => sockets.DisposeAsync();

        /// <summary>
        /// The next one is accepted when this one's file is closed. What it is told is so short that the system takes it at once;
        /// to abort it would reset the connection, and that would be lost.
        /// </summary>
        private async ValueTask Refuse(ConnectionContext accepted)
        {
            if (admission.Refusal.Length != 0)
                await accepted.Transport.Output.WriteAsync(admission.Refusal);
            await accepted.DisposeAsync();
        }
    }

    /// <summary>Counts until its socket is closed.</summary>
    private sealed class CountedConnection(ConnectionContext socket, ConnectionAdmission admission) : ConnectionContext
    {
        private int _disposed;

        public override string ConnectionId
        {
            get => socket.ConnectionId;
            set => socket.ConnectionId = value;
        }

        public override Microsoft.AspNetCore.Http.Features.IFeatureCollection Features => socket.Features;

        public override IDictionary<object, object?> Items
        {
            get => socket.Items;
            set => socket.Items = value;
        }

        public override System.IO.Pipelines.IDuplexPipe Transport
        {
            get => socket.Transport;
            set => socket.Transport = value;
        }

        public override CancellationToken ConnectionClosed
        {
            get => socket.ConnectionClosed;
            set => socket.ConnectionClosed = value;
        }

        public override EndPoint? LocalEndPoint
        {
            get => socket.LocalEndPoint;
            set => socket.LocalEndPoint = value;
        }

        public override EndPoint? RemoteEndPoint
        {
            get => socket.RemoteEndPoint;
            set => socket.RemoteEndPoint = value;
        }

        public override void Abort() => socket.Abort();

        public override void Abort(ConnectionAbortedException abortReason) => socket.Abort(abortReason);

        public override async ValueTask DisposeAsync()
        {
            try
            {
                await socket.DisposeAsync();
            }
            finally
            {
                if (Interlocked.Exchange(ref _disposed, 1) == 0)
                    admission.Leave();
            }
        }
    }
}
