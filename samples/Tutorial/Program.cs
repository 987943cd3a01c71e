using Kvasir.Samples.Tutorial;

// The steps of docs/tutorial-from-two-bash-functions.md, measured and drawn.
switch (args)
{
    case ["measure", string results, .. var rest] when rest.Length <= 1:
        int keysMax = rest.Length == 1 ? int.Parse(rest[0], System.Globalization.CultureInfo.InvariantCulture) : 1_000_000;
        string folder = Directory.CreateTempSubdirectory("kvasir-tutorial-").FullName;
        try
        {
            List<Measurement> all = [];
            foreach (Measurement m in new StepMeasurements(folder, keysMax).Run())
            {
                Console.Error.WriteLine($"{m.Step}: {m.Chart} at {m.X}: {m.Y:G4}");
                all.Add(m);
            }

            Measurement.Save(results, all);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        return 0;
    case ["plot", string results, string charts]:
        ChartList.Draw(results, charts);
        return 0;
    default:
        Console.Error.WriteLine("usage: measure RESULTS.csv [KEYS-MAX] | plot RESULTS.csv FOLDER");
        return 2;
}
