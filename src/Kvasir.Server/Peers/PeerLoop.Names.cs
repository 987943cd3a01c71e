using System.Net;
using System.Net.Sockets;
using Kvasir.Cluster.Transport;

namespace Kvasir.Server.Peers;

/// <content>Names of machines.</content>
internal sealed partial class PeerLoop
{
    /// <summary>Asks the system for the address of a name, elsewhere; the answer comes back to the loop.</summary>
    private void Resolve(PeerAddress address, Action<IPEndPoint?, string> done)
    {
        _ = Ask();

        async Task Ask()
        {
            IPEndPoint? found = null;
            string trouble = "";
            try
            {
                IPAddress[] all = await Dns.GetHostAddressesAsync(address.Host);
                IPAddress? first = all.FirstOrDefault(static a => a.AddressFamily == AddressFamily.InterNetwork) ?? all.FirstOrDefault();
                if (first is null)
                    trouble = $"{address.Host} has no address";
                else
                    found = new IPEndPoint(first, address.Port);
            }
            catch (Exception e) when (e is SocketException or ArgumentException)
            {
                trouble = $"{address.Host} has no address: {e.Message}";
            }

            Post(() => done(found, trouble));
        }
    }
}
