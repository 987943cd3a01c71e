using System.Diagnostics;
using System.IO.Compression;
using System.Runtime.CompilerServices;
using System.Xml.Linq;

namespace Kvasir.Samples.Tests;

/// <summary>The packages as users get them: packed without a warning, and used by a program that has nothing else.</summary>
public sealed class PackageTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("kvasir-test-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task APackageHasAllThatAProgramNeeds()
    {
        // What analyzers say of the same sources stopped the build of the solution, which all tests come after.
        foreach (string project in (string[])["Kvasir.Storage", "Kvasir.Caching"])
        {
            string log = await DotNet(
                "pack", Path.Combine(Path.GetDirectoryName(SourcePath())!, "../../src", project), "-c", "Release", "-o", _folder,
                "-p:ArtifactsPath=" + Path.Combine(_folder, "artifacts"), "-p:RunAnalyzers=false", "--disable-build-servers", "-v", "minimal");
            Assert.DoesNotContain("warning", log, StringComparison.OrdinalIgnoreCase);
        }

        (XElement storage, string[] files) = Read("Kvasir.Storage");
        Assert.Equal(
            ["README.md", "lib/net10.0/Kvasir.Primitives.dll", "lib/net10.0/Kvasir.Storage.dll", "lib/net10.0/Kvasir.Storage.xml"], files);
        Assert.Equal(("Apache-2.0", "README.md"), (Value(storage, "license"), Value(storage, "readme")));
        Assert.NotEmpty(Value(storage, "description"));
        Assert.NotEmpty(Value(storage, "tags"));
        Assert.DoesNotContain(storage.Descendants(), e => e.Name.LocalName == "dependency");

        (XElement caching, files) = Read("Kvasir.Caching");
        Assert.Equal(["README.md", "lib/net10.0/Kvasir.Caching.dll", "lib/net10.0/Kvasir.Caching.xml"], files);
        Assert.Equal(
            ["Kvasir.Storage", "Microsoft.Extensions.Caching.Abstractions", "Microsoft.Extensions.DependencyInjection.Abstractions"],
            caching.Descendants().Where(e => e.Name.LocalName == "dependency").Select(e => e.Attribute("id")!.Value).Order(StringComparer.Ordinal));

        using (ZipArchive symbols = ZipFile.OpenRead(Directory.GetFiles(_folder, "Kvasir.Storage.*.snupkg").Single()))
            Assert.Equal(["Kvasir.Storage.pdb"], symbols.Entries.Select(e => e.Name).Where(n => n.EndsWith(".pdb", StringComparison.Ordinal)).Order(StringComparer.Ordinal));
        Assert.Equal("Ada", (await RunAProgram(Value(storage, "version"))).Trim());
    }

    /// <summary>A program that knows no other source of packages than the folder with these.</summary>
    private async Task<string> RunAProgram(string version)
    {
        string program = Directory.CreateDirectory(Path.Combine(_folder, "program")).FullName;
        await File.WriteAllTextAsync(Path.Combine(program, "nuget.config"), $"""
            <configuration>
              <packageSources><clear /><add key="here" value="{_folder}" /></packageSources>
              <config><add key="globalPackagesFolder" value="{Path.Combine(_folder, "packages")}" /></config>
            </configuration>
            """);
        await File.WriteAllTextAsync(Path.Combine(program, "program.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <UseAppHost>false</UseAppHost>
                <NuGetAudit>false</NuGetAudit>
              </PropertyGroup>
              <ItemGroup><PackageReference Include="Kvasir.Storage" Version="{version}" /></ItemGroup>
            </Project>
            """);
        await File.WriteAllTextAsync(Path.Combine(program, "Program.cs"), $"""
            using Kvasir.Storage.Embedded;
            using OrderedStore store = OrderedStore.Open("{Path.Combine(_folder, "data")}");
            store.Put("user:1", "Ada");
            System.Console.WriteLine(store.GetString("user:1"));
            """);
        return await DotNet("run", "--project", program, "-v", "quiet");
    }

    private (XElement Specification, string[] Files) Read(string package)
    {
        using ZipArchive archive = ZipFile.OpenRead(Directory.GetFiles(_folder, package + ".*.nupkg").Single());
        using Stream specification = archive.GetEntry(package + ".nuspec")!.Open();
        return (XDocument.Load(specification).Root!, [.. archive.Entries.Select(e => e.FullName)
            .Where(f => f.StartsWith("lib/", StringComparison.Ordinal) || f.EndsWith(".md", StringComparison.Ordinal)).Order(StringComparer.Ordinal)]);
    }

    private static string Value(XElement specification, string name) => specification.Descendants().First(e => e.Name.LocalName == name).Value;

    private static async Task<string> DotNet(params string[] arguments)
    {
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", arguments)
        {
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        using Process process = Process.Start(start)!;
        string log = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, log);
        return log;
    }

    private static string SourcePath([CallerFilePath] string path = "") => path;
}
