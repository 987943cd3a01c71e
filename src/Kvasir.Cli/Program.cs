return await Kvasir.Cli.CommandLine.KvasirCommand.Run(args);
