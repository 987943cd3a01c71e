using System.CommandLine;

namespace Kvasir.Cli.Tests;

public sealed class HelpTests
{
    public static TheoryData<string> Commands
    {
        get
        {
            var data = new TheoryData<string>();
            foreach (string path in Leaves(KvasirCommand.Create(), ""))
                data.Add(path);
            return data;
        }
    }

    [Fact]
    public async Task TheManualPageNamesEveryCommandAndEveryExitCode()
    {
        Outcome outcome = (await KvasirProcess.Run("--help")).AssertSuccess();
        Assert.Equal("", outcome.Error);
        foreach (string section in new[] { "NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "EXAMPLES", "ENVIRONMENT", "EXIT CODES" })
            Assert.Contains($"\n{section}\n", "\n" + outcome.Output, StringComparison.Ordinal);
        foreach (string path in Leaves(KvasirCommand.Create(), ""))
            Assert.Contains($"    {path} ", outcome.Output, StringComparison.Ordinal);
        foreach (string line in outcome.Output.Split('\n'))
            Assert.True(line.Length <= 110, $"too wide for a terminal: {line}");
    }

    [Theory]
    [MemberData(nameof(Commands))]
    public async Task EveryCommandExplainsItselfAndEachOfItsOptions(string path)
    {
        string[] words = path.Split(' ');
        Outcome outcome = (await KvasirProcess.Run([.. words, "--help"])).AssertSuccess();
        Command command = KvasirCommand.Create();
        foreach (string word in words)
            command = command.Subcommands.Single(c => c.Name == word);
        Assert.Contains("kvasir " + path, outcome.Output, StringComparison.Ordinal);
        foreach (Option option in command.Options)
        {
            Assert.Contains(option.Name, outcome.Output, StringComparison.Ordinal);
            Assert.False(string.IsNullOrEmpty(option.Description), $"{path} {option.Name} has no description");
        }
    }

    [Fact]
    public async Task TheVersionIsOneLine()
    {
        Outcome outcome = (await KvasirProcess.Run("--version")).AssertSuccess();
        Assert.Matches(@"^\d+\.\d+\.\d+\r?\n$", outcome.Output);
    }

    internal static IEnumerable<string> Leaves(Command command, string path)
    {
        foreach (Command child in command.Subcommands)
        {
            string name = path.Length == 0 ? child.Name : $"{path} {child.Name}";
            if (child.Subcommands.Count == 0)
                yield return name;
            foreach (string leaf in Leaves(child, name))
                yield return leaf;
        }
    }
}
