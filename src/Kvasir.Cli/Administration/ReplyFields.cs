using System.Globalization;
using Kvasir.Cli.Shell;
using Kvasir.Wire.Resp;

namespace Kvasir.Cli.Administration;

/// <summary>
/// A reply of names and values, a map in protocol 3 and a flat array in protocol 2. A field that is not there is null or
/// empty: an older node knows fewer, a newer one more.
/// </summary>
internal readonly struct ReplyFields(RespReply reply)
{
    public string? Text(string name) => reply.Field(name) is { IsAggregate: false, Kind: not RespReplyKind.Null } field ? field.Text : null;

    public long? Number(string name) => reply.Field(name) is { } field ? NumberOf(field) : null;

    public bool? Flag(string name) => Number(name) is { } number ? number != 0 : null;

    public IEnumerable<ReplyFields> Maps(string name) => List(reply.Field(name));

    public IReadOnlyList<string> Texts(string name) =>
        reply.Field(name) is { IsAggregate: true } list ? [.. list.Items.Where(i => !i.IsAggregate).Select(i => i.Text)] : [];

    public IReadOnlyList<long> Numbers(string name) =>
        reply.Field(name) is { IsAggregate: true } list ? [.. list.Items.Select(NumberOf).OfType<long>()] : [];

    /// <summary>The maps of a reply that is a list of them.</summary>
    public static IEnumerable<ReplyFields> List(RespReply? list) =>
        list is { IsAggregate: true } ? list.Items.Where(i => i.IsAggregate).Select(i => new ReplyFields(i)) : [];

    private static long? NumberOf(RespReply value) => value.Kind == RespReplyKind.Boolean
        ? value.Text == "t" ? 1 : 0
        : long.TryParse(value.Text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) ? number : null;
}
