using System.Net;
using System.Net.Sockets;

namespace Kvasir.Server.Hosting;

/// <summary>Addresses as Redis's bind names them: * for all, a minus before one that need not be there.</summary>
internal static class BindAddresses
{
    /// <summary>None for port 0; null when a word is no address.</summary>
    public static IReadOnlyList<IPEndPoint>? Parse(string addresses, int port)
    {
        List<IPEndPoint> endPoints = [];
        foreach (string word in port == 0 ? [] : addresses.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            bool optional = word[0] == '-';
            IPAddress? address = word.TrimStart('-') switch
            {
                "*" => IPAddress.Any,
                "::*" => IPAddress.IPv6Any,
                string text => IPAddress.TryParse(text, out IPAddress? parsed) ? parsed : null,
            };
            if (address is null)
                return null;
            IPEndPoint endPoint = new(address, port);
            // One socket for all of version 6 takes version 4, too: it would stand in the way of the one for version 4.
            bool covered = address.Equals(IPAddress.IPv6Any) && endPoints.Exists(static e => e.Address.Equals(IPAddress.Any));
            if (!covered && !(optional && !CanBind(endPoint)) && !endPoints.Contains(endPoint))
                endPoints.Add(endPoint);
        }

        return endPoints;
    }

    private static bool CanBind(IPEndPoint endPoint)
    {
        try
        {
            using Socket probe = new(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            probe.Bind(new IPEndPoint(endPoint.Address, 0));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
