using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using Kvasir.Cli.CommandLine;

namespace Kvasir.Cli;

/// <summary><c>kvasir --help</c> is a manual page; each command's own help is made from its options.</summary>
internal sealed class ManualAction(HelpAction commandHelp) : SynchronousCommandLineAction
{
    private const string Page = """
        NAME
          kvasir - a durable key-value database that speaks the Redis protocol

        SYNOPSIS
          kvasir COMMAND [OPTIONS]
          kvasir COMMAND --help

        DESCRIPTION
          One program: the server, its tools and its load generators. By default an acknowledged write is on
          stable storage; a process killed at any instant loses none. Any Redis client can use the server.

        COMMANDS
          Serve
            up                 A server or a cluster to try, on this machine: durable, prints what to do next
            server             The server for production: every setting by flag, environment or file

          Talk to a server
            shell              Interactive client: history, help, pretty replies; also one command, or a script

          Run a cluster
            status             Nodes, keyspaces and replicas: who leads, who lags, what has fewer copies than promised
            node list          The nodes of the cluster
            node drain ID      Move leaders away from a node, so that it can be stopped; it keeps its copies
            node decommission ID  Take a node out of the cluster for good
            keyspace create NAME  Make a keyspace: engine, shards, replicas
            keyspace list      The keyspaces and what they promise
            keyspace show NAME  One keyspace: its shards, their leaders and copies
            keyspace convert NAME  Move a keyspace to another engine while it is served
            keyspace drop NAME  Remove a keyspace with all that is in it
            leader transfer KEYSPACE SHARD NODE  Hand the lead of a shard to another node

          Look after data
            inspect FILE       Print a journal segment, SSTable, manifest or identity file, with offsets
            verify DIR         Check every byte of a data folder; name the file and offset of all damage
            checkpoint DIR TO  Copy a stopped server's data by hard links
            recover DIR        Last resort: a cluster that lost its majority goes on with one node

          Measure
            bench engine       Drive the storage engine: writes, reads, seeks; latency, amplification, memory
            bench server       Load a server over RESP: closed or open loop, mixed workloads, YCSB A to F
            bench cluster      Measure fail-over, hand-over and idle shards of three local nodes
            bench checker      Judge histories of one busy key: how long it takes

          Try to break it
            simulate disk      Crash a node at every disk operation of an imagined disk, recover it, check it
            simulate damage DIR  Flip bits all over a copy of a data folder; none may be served
            simulate model     Compare engine and embedded store with a sorted map over millions of operations
            simulate raft      Run Raft groups on imagined networks, disks and clocks that fail; watch every promise
            simulate cluster   Run whole clusters of nodes in such a world, and judge what their clients saw
            check FILE...      Judge what clients saw, in Jepsen's notation or JSON: can one copy have answered so?
            torture            Kill real servers at random moments and check that nothing answered is lost

        EXAMPLES
          kvasir up                                Start a server in this terminal
          kvasir up --nodes 3                      Start a cluster; kill any of its nodes and watch
          kvasir server --data /var/lib/kvasir --resp 127.0.0.1:6379 --http 127.0.0.1:6380
          kvasir shell                             Talk to 127.0.0.1:6379
          kvasir shell -p 7000 SET greeting hello  Send one command, print its reply
          kvasir bench engine --workload fillrandom,readrandom --keys 1M
          kvasir bench server --workload ycsb-a --clients 50 --duration 30

        ENVIRONMENT
          KVASIR_DATA, KVASIR_RESP, ...  Settings of `server`: KVASIR_ and the flag in capitals, _ for -
          KVASIR_HISTORY   File for the shell's history (default: kvasir/history below XDG_STATE_HOME or
                           ~/.local/state); empty for none
          KVASIR_PASSWORD  Password for `shell` and `bench server`, so that it need not stand on a command line
          NO_COLOR         When set, nothing is coloured

        EXIT CODES
          0   Done; or `server`, `up` or a shell in a terminal ended by Ctrl-C or SIGTERM, cleanly
          1   Done, and the answer is no: damage was found, the server replied with an error
          2   The command line, a file or a port is not right; one line on standard error says what
          70  A defect of Kvasir; please report it
          130, 143  Ended by Ctrl-C (143: SIGTERM) before it was done; what it printed is of the part until then

        """;

    public override bool ClearsParseErrors => true;

    public override int Invoke(ParseResult parseResult)
    {
        if (parseResult.CommandResult.Command is not RootCommand)
            return commandHelp.Invoke(parseResult);
        parseResult.InvocationConfiguration.Output.Write(Page);
        return ExitCode.Success;
    }
}
