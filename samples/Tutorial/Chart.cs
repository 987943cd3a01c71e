using System.Globalization;
using System.Text;

namespace Kvasir.Samples.Tutorial;

/// <summary>Lines over two axes, as an SVG that needs nothing else.</summary>
internal sealed class Chart(string title, string xTitle, string yTitle, bool isLogarithmic)
{
    private const int Width = 720, Height = 416, Left = 80, Right = 190, Top = 60, Bottom = 56;

    // Told apart without colours, too: each line has its own dashes.
    private static readonly (string Colour, string Dashes)[] s_styles =
        [("#777777", "2 3"), ("#d1495b", ""), ("#edae49", "8 3"), ("#00798c", "12 3 3 3"), ("#30638e", "4 4")];

    private readonly List<(string Name, int Style, List<(double X, double Y)> Points)> _lines = [];

    /// <param name="name">Begins with the number of its step, which gives it its colour.</param>
    public void Add(string name, IEnumerable<(double X, double Y)> points) => _lines.Add((name, name[0] - '0', [.. points]));

    public string Draw()
    {
        (double Low, double High) xs = Range(static p => p.X), ys = Range(static p => p.Y);
        var svg = new StringBuilder();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height}\" font-family=\"sans-serif\" font-size=\"12\">\n");
        svg.Append("<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n");
        Text(svg, Left, 22, title, "font-size=\"15\" font-weight=\"bold\"");
        Text(svg, Left + ((Width - Left - Right) / 2), Height - 14, xTitle, "text-anchor=\"middle\"");
        Text(svg, 12, Top - 16, yTitle, "");
        foreach (double y in Ticks(ys))
        {
            double at = Y(y, ys);
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{Left}\" x2=\"{Width - Right}\" y1=\"{at:F1}\" y2=\"{at:F1}\" stroke=\"#dddddd\"/>\n");
            Text(svg, Left - 8, at + 4, Label(y), "text-anchor=\"end\"");
        }

        foreach (double x in Ticks(xs))
            Text(svg, X(x, xs), Height - Bottom + 18, Label(x), "text-anchor=\"middle\"");

        // Names do not lie upon each other.
        double free = Top;
        foreach ((string name, int style, List<(double X, double Y)> points) in _lines.OrderBy(l => Y(l.Points[^1].Y, ys)))
        {
            (string colour, string dashes) = s_styles[style];
            string path = string.Join(' ', points.Select(p => string.Create(CultureInfo.InvariantCulture, $"{X(p.X, xs):F1},{Y(p.Y, ys):F1}")));
            svg.Append(CultureInfo.InvariantCulture, $"<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\" stroke-dasharray=\"{dashes}\"/>\n");
            double at = Math.Max(Y(points[^1].Y, ys), free);
            free = at + 16;
            Text(svg, X(points[^1].X, xs) + 8, at + 4, name, $"fill=\"{colour}\"");
        }

        return svg.Append("</svg>\n").ToString();
    }

    private (double Low, double High) Range(Func<(double X, double Y), double> of)
    {
        double[] all = [.. _lines.SelectMany(l => l.Points).Select(of)];
        return isLogarithmic
            ? (Math.Pow(10, Math.Floor(Math.Log10(all.Min()))), Math.Pow(10, Math.Ceiling(Math.Log10(all.Max()))))
            : (0, all.Max());
    }

    private IEnumerable<double> Ticks((double Low, double High) range)
    {
        if (isLogarithmic)
        {
            for (double at = range.Low; at <= range.High * 1.01; at *= 10)
                yield return at;
            yield break;
        }

        double step = Math.Pow(10, Math.Floor(Math.Log10(range.High / 4)));
        step *= range.High / step > 20 ? 5 : range.High / step > 10 ? 2 : 1;
        for (double at = 0; at <= range.High * 1.01; at += step)
            yield return at;
    }

    private double X(double x, (double Low, double High) range) => Left + (Part(x, range) * (Width - Left - Right));

    private double Y(double y, (double Low, double High) range) => Height - Bottom - (Part(y, range) * (Height - Top - Bottom));

    private double Part(double at, (double Low, double High) range) => isLogarithmic
        ? Math.Log10(at / range.Low) / Math.Log10(range.High / range.Low)
        : (at - range.Low) / (range.High - range.Low);

    private static string Label(double number) => number switch
    {
        >= 1e6 => string.Create(CultureInfo.InvariantCulture, $"{number / 1e6:G3} M"),
        >= 1e3 => string.Create(CultureInfo.InvariantCulture, $"{number / 1e3:G3} k"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{number:G3}"),
    };

    private static void Text(StringBuilder svg, double x, double y, string text, string attributes) =>
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{x:F1}\" y=\"{y:F1}\" {attributes}>{text}</text>\n");
}
