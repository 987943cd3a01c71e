using System.Globalization;

namespace Kvasir.Samples.Tutorial;

/// <summary>One figure: of a step, what, at which size.</summary>
internal sealed record Measurement(string Chart, string Step, double X, double Y)
{
    public static IEnumerable<Measurement> Load(string path) => File.ReadLines(path).Skip(1).Select(static line =>
    {
        string[] fields = line.Split(',');
        return new Measurement(fields[0], fields[1], double.Parse(fields[2], CultureInfo.InvariantCulture), double.Parse(fields[3], CultureInfo.InvariantCulture));
    });

    public static void Save(string path, IEnumerable<Measurement> all) => File.WriteAllLines(
        path,
        all.Select(static m => string.Create(CultureInfo.InvariantCulture, $"{m.Chart},{m.Step},{m.X},{m.Y:G4}")).Prepend("chart,step,x,y"));
}
