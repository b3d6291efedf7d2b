# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_petald_global_optspecs
    string join \n h/help V/version
end

function __fish_petald_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_petald_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_petald_using_subcommand
    set -l cmd (__fish_petald_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c petald -n "__fish_petald_needs_command" -s h -l help -d 'Print help'
complete -c petald -n "__fish_petald_needs_command" -s V -l version -d 'Print version'
complete -c petald -n "__fish_petald_needs_command" -f -a "run" -d 'Run the node until SIGTERM or SIGINT drains it'
complete -c petald -n "__fish_petald_needs_command" -f -a "check" -d 'Tell every config error at once; then try data folder, disk, ports, descriptors, bootstraps and clock'
complete -c petald -n "__fish_petald_needs_command" -f -a "status" -d 'Show a running node: its visibility, records, peers and actors'
complete -c petald -n "__fish_petald_needs_command" -f -a "map" -d 'Show a whole swarm from outside: its bootstraps, its models, and every server with its blocks'
complete -c petald -n "__fish_petald_needs_command" -f -a "probe" -d 'Look at one peer from outside, layer by layer, and name the layer that fails'
complete -c petald -n "__fish_petald_needs_command" -f -a "identity" -d 'Create, show, import or export the key that the swarm knows the node by'
complete -c petald -n "__fish_petald_needs_command" -f -a "completions" -d 'Print the completions of a shell'
complete -c petald -n "__fish_petald_needs_command" -f -a "man" -d 'Print a manual page, or write all of them into a folder'
complete -c petald -n "__fish_petald_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c petald -n "__fish_petald_using_subcommand run" -s c -l config -d 'The TOML file; without one, an embedded config seeds a private swarm on loopback' -r -F
complete -c petald -n "__fish_petald_using_subcommand run" -l set -d 'Set one key, over all other layers; may be given several times' -r
complete -c petald -n "__fish_petald_using_subcommand run" -s h -l help -d 'Print help'
complete -c petald -n "__fish_petald_using_subcommand check" -s c -l config -d 'The TOML file; without one, an embedded config seeds a private swarm on loopback' -r -F
complete -c petald -n "__fish_petald_using_subcommand check" -l set -d 'Set one key, over all other layers; may be given several times' -r
complete -c petald -n "__fish_petald_using_subcommand check" -l offline -d 'Look at the config only: try nothing'
complete -c petald -n "__fish_petald_using_subcommand check" -s h -l help -d 'Print help'
complete -c petald -n "__fish_petald_using_subcommand status" -s c -l config -d 'The TOML file; without one, an embedded config seeds a private swarm on loopback' -r -F
complete -c petald -n "__fish_petald_using_subcommand status" -l set -d 'Set one key, over all other layers; may be given several times' -r
complete -c petald -n "__fish_petald_using_subcommand status" -l admin -d 'Where its admin API listens, such as 127.0.0.1:8780 or unix:PATH; without it, what the data folder says' -r
complete -c petald -n "__fish_petald_using_subcommand status" -l json -d 'Show all that the admin API tells, as JSON'
complete -c petald -n "__fish_petald_using_subcommand status" -l watch -d 'Show it again each second: drawn on a terminal, elsewhere with --json an object a line'
complete -c petald -n "__fish_petald_using_subcommand status" -s h -l help -d 'Print help'
complete -c petald -n "__fish_petald_using_subcommand map" -l peer -d 'A peer of the swarm, with its id, through which it is entered; may be given several times' -r
complete -c petald -n "__fish_petald_using_subcommand map" -l model -d 'Only models that have this in their prefix or name' -r
complete -c petald -n "__fish_petald_using_subcommand map" -l state -d 'Only servers in this state; may be given several times' -r -f -a "online\t''
joining\t''
offline\t''
unreachable\t''"
complete -c petald -n "__fish_petald_using_subcommand map" -l id -d 'Only servers that have this in their peer id' -r
complete -c petald -n "__fish_petald_using_subcommand map" -l name -d 'Only servers that have this in their public name' -r
complete -c petald -n "__fish_petald_using_subcommand map" -s c -l config -d 'The TOML file; without one, an embedded config seeds a private swarm on loopback' -r -F
complete -c petald -n "__fish_petald_using_subcommand map" -l set -d 'Set one key, over all other layers; may be given several times' -r
complete -c petald -n "__fish_petald_using_subcommand map" -l json -d 'Print what health.petals.dev would, as JSON'
complete -c petald -n "__fish_petald_using_subcommand map" -l watch -d 'Look again and again: drawn on a terminal, elsewhere with --json an object a line'
complete -c petald -n "__fish_petald_using_subcommand map" -s h -l help -d 'Print help'
complete -c petald -n "__fish_petald_using_subcommand probe" -l peer -d 'A peer of the swarm, with its id, through which PEER_ID is found; may be given several times' -r
complete -c petald -n "__fish_petald_using_subcommand probe" -s c -l config -d 'The TOML file; without one, an embedded config seeds a private swarm on loopback' -r -F
complete -c petald -n "__fish_petald_using_subcommand probe" -l set -d 'Set one key, over all other layers; may be given several times' -r
complete -c petald -n "__fish_petald_using_subcommand probe" -l json -d 'Print one JSON object'
complete -c petald -n "__fish_petald_using_subcommand probe" -s h -l help -d 'Print help'
complete -c petald -n "__fish_petald_using_subcommand identity; and not __fish_seen_subcommand_from new show import export help" -s h -l help -d 'Print help'
complete -c petald -n "__fish_petald_using_subcommand identity; and not __fish_seen_subcommand_from new show import export help" -f -a "new" -d 'Create an Ed25519 key; one that is there is never overwritten'
complete -c petald -n "__fish_petald_using_subcommand identity; and not __fish_seen_subcommand_from new show import export help" -f -a "show" -d 'Show the peer id, the kind of key and its file'
complete -c petald -n "__fish_petald_using_subcommand identity; and not __fish_seen_subcommand_from new show import export help" -f -a "import" -d 'Import a key of hivemind (RSA) or p2pd; one that is there is never overwritten'
complete -c petald -n "__fish_petald_using_subcommand identity; and not __fish_seen_subcommand_from new show import export help" -f -a "export" -d 'Copy the key into a file that only its owner can read; one that is there is never overwritten'
complete -c petald -n "__fish_petald_using_subcommand identity; and not __fish_seen_subcommand_from new show import export help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from new" -s c -l config -d 'The TOML file; without one, an embedded config seeds a private swarm on loopback' -r -F
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from new" -l set -d 'Set one key, over all other layers; may be given several times' -r
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from new" -l data-dir -d 'The data folder, instead of the config\'s' -r
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help'
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from show" -s c -l config -d 'The TOML file; without one, an embedded config seeds a private swarm on loopback' -r -F
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from show" -l set -d 'Set one key, over all other layers; may be given several times' -r
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from show" -l data-dir -d 'The data folder, instead of the config\'s' -r
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from import" -s c -l config -d 'The TOML file; without one, an embedded config seeds a private swarm on loopback' -r -F
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from import" -l set -d 'Set one key, over all other layers; may be given several times' -r
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from import" -l data-dir -d 'The data folder, instead of the config\'s' -r
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from export" -s c -l config -d 'The TOML file; without one, an embedded config seeds a private swarm on loopback' -r -F
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from export" -l set -d 'Set one key, over all other layers; may be given several times' -r
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from export" -l data-dir -d 'The data folder, instead of the config\'s' -r
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from help" -f -a "new" -d 'Create an Ed25519 key; one that is there is never overwritten'
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show the peer id, the kind of key and its file'
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from help" -f -a "import" -d 'Import a key of hivemind (RSA) or p2pd; one that is there is never overwritten'
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from help" -f -a "export" -d 'Copy the key into a file that only its owner can read; one that is there is never overwritten'
complete -c petald -n "__fish_petald_using_subcommand identity; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c petald -n "__fish_petald_using_subcommand completions" -s h -l help -d 'Print help'
complete -c petald -n "__fish_petald_using_subcommand man" -l dir -d 'Write all pages into this folder' -r -F
complete -c petald -n "__fish_petald_using_subcommand man" -s h -l help -d 'Print help'
complete -c petald -n "__fish_petald_using_subcommand help; and not __fish_seen_subcommand_from run check status map probe identity completions man help" -f -a "run" -d 'Run the node until SIGTERM or SIGINT drains it'
complete -c petald -n "__fish_petald_using_subcommand help; and not __fish_seen_subcommand_from run check status map probe identity completions man help" -f -a "check" -d 'Tell every config error at once; then try data folder, disk, ports, descriptors, bootstraps and clock'
complete -c petald -n "__fish_petald_using_subcommand help; and not __fish_seen_subcommand_from run check status map probe identity completions man help" -f -a "status" -d 'Show a running node: its visibility, records, peers and actors'
complete -c petald -n "__fish_petald_using_subcommand help; and not __fish_seen_subcommand_from run check status map probe identity completions man help" -f -a "map" -d 'Show a whole swarm from outside: its bootstraps, its models, and every server with its blocks'
complete -c petald -n "__fish_petald_using_subcommand help; and not __fish_seen_subcommand_from run check status map probe identity completions man help" -f -a "probe" -d 'Look at one peer from outside, layer by layer, and name the layer that fails'
complete -c petald -n "__fish_petald_using_subcommand help; and not __fish_seen_subcommand_from run check status map probe identity completions man help" -f -a "identity" -d 'Create, show, import or export the key that the swarm knows the node by'
complete -c petald -n "__fish_petald_using_subcommand help; and not __fish_seen_subcommand_from run check status map probe identity completions man help" -f -a "completions" -d 'Print the completions of a shell'
complete -c petald -n "__fish_petald_using_subcommand help; and not __fish_seen_subcommand_from run check status map probe identity completions man help" -f -a "man" -d 'Print a manual page, or write all of them into a folder'
complete -c petald -n "__fish_petald_using_subcommand help; and not __fish_seen_subcommand_from run check status map probe identity completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c petald -n "__fish_petald_using_subcommand help; and __fish_seen_subcommand_from identity" -f -a "new" -d 'Create an Ed25519 key; one that is there is never overwritten'
complete -c petald -n "__fish_petald_using_subcommand help; and __fish_seen_subcommand_from identity" -f -a "show" -d 'Show the peer id, the kind of key and its file'
complete -c petald -n "__fish_petald_using_subcommand help; and __fish_seen_subcommand_from identity" -f -a "import" -d 'Import a key of hivemind (RSA) or p2pd; one that is there is never overwritten'
complete -c petald -n "__fish_petald_using_subcommand help; and __fish_seen_subcommand_from identity" -f -a "export" -d 'Copy the key into a file that only its owner can read; one that is there is never overwritten'
