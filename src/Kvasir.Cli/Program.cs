Kvasir.Cli.EndingSignals.Listen(args);
return await Kvasir.Cli.KvasirCommand.Run(args);
