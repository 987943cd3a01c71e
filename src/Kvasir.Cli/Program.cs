return await Kvasir.Cli.KvasirCommand.Run(args);
