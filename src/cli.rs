//! The command line. What `petald help` says here is the reference.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use libp2p::Multiaddr;
use petald_actors::monitor::state::Shown;

use crate::probe::Target;
use crate::status::Place;

/// Ends every help text.
const EXIT_CODES: &str = "\
Exit codes:
   0  done; for `run`: drained after SIGTERM or SIGINT
  64  wrong usage
  69  `check` or `probe` found something that does not work; `status`: not visible; `map`: no way in
  70  the root supervisor gave up
  74  a file or a socket could not be used; `status`: no node answers
  75  another petald holds the data folder
  78  the config is wrong";

const LAYERS: &str = "\
Config layers, later ones win: built-in defaults, the TOML file, environment
variables (PETALD__NETWORK__LISTEN is network.listen), --set. In the last two a
string needs no quotes, and an array is written in TOML or with commas.";

const PROBE: &str = "\
An address is dialled as it is. A PEER_ID alone is found through the initial peers of
--config, or through every --peer. The layers are find or dns, dial and noise; then
identify, kad, dht_ping, call_back, rpc_info and records. The exit code is 0 if all of
them answered.";

const MAP: &str = "\
The swarm is entered through the initial peers of --config and through every --peer; no
node need run here. Shown are the models of the swarm's index and those of the config. In
a bar each # is online, + joining, - offline, x unreachable; the line above the bars
counts the servers of each block that are online and answer. The exit code is 0 if
somebody let us in.";

/// Keeps a Petals node visible in its swarm
#[derive(Debug, Parser)]
#[command(name = "petald", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the node until SIGTERM or SIGINT drains it
    #[command(after_help = LAYERS)]
    Run(ConfigArgs),
    /// Tell every config error at once; then try data folder, disk, ports, descriptors, bootstraps and clock
    #[command(after_help = LAYERS)]
    Check {
        #[command(flatten)]
        config: ConfigArgs,
        /// Look at the config only: try nothing
        #[arg(long)]
        offline: bool,
    },
    /// Show a running node: its visibility, records, peers and actors
    #[command(after_help = LAYERS)]
    Status {
        #[command(flatten)]
        config: ConfigArgs,
        /// Where its admin API listens, such as 127.0.0.1:8780 or unix:PATH; without it, what the data folder says
        #[arg(long, value_name = "ADDR")]
        admin: Option<Place>,
        /// Show all that the admin API tells, as JSON
        #[arg(long)]
        json: bool,
        /// Show it again each second: drawn on a terminal, elsewhere with --json an object a line
        #[arg(long)]
        watch: bool,
    },
    /// Show a whole swarm from outside: its bootstraps, its models, and every server with its blocks
    #[command(after_help = MAP)]
    Map {
        /// A peer of the swarm, with its id, through which it is entered; may be given several times
        #[arg(long = "peer", value_name = "ADDR")]
        peers: Vec<Multiaddr>,
        /// Print what health.petals.dev would, as JSON
        #[arg(long)]
        json: bool,
        /// Look again and again: drawn on a terminal, elsewhere with --json an object a line
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        filter: Filter,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Look at one peer from outside, layer by layer, and name the layer that fails
    #[command(after_help = PROBE)]
    Probe {
        /// The peer: its id, or an address that ends with it
        #[arg(value_name = "PEER_ID|ADDR")]
        target: Target,
        /// A peer of the swarm, with its id, through which PEER_ID is found; may be given several times
        #[arg(long = "peer", value_name = "ADDR")]
        peers: Vec<Multiaddr>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Create, show, import or export the key that the swarm knows the node by
    #[command(subcommand)]
    Identity(IdentityCommand),
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page, or write all of them into a folder
    Man {
        /// Which page, such as petald, petald-run or petald.toml
        #[arg(default_value = "petald")]
        page: String,
        /// Write all pages into this folder
        #[arg(long, value_name = "FOLDER", conflicts_with = "page")]
        dir: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum IdentityCommand {
    /// Create an Ed25519 key; one that is there is never overwritten
    New(IdentityArgs),
    /// Show the peer id, the kind of key and its file
    Show(IdentityArgs),
    /// Import a key of hivemind (RSA) or p2pd; one that is there is never overwritten
    Import {
        /// The file to copy the key from
        file: PathBuf,
        #[command(flatten)]
        at: IdentityArgs,
    },
    /// Copy the key into a file that only its owner can read; one that is there is never overwritten
    Export {
        /// The file to copy the key to
        file: PathBuf,
        #[command(flatten)]
        at: IdentityArgs,
    },
}

/// Which config.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The TOML file; without one, an embedded config seeds a private swarm on loopback
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Set one key, over all other layers; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = assignment)]
    pub(crate) set: Vec<(String, String)>,
}

/// Which servers are shown.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Filter {
    /// Only models that have this in their prefix or name
    #[arg(long, value_name = "TEXT")]
    pub(crate) model: Option<String>,
    /// Only servers in this state; may be given several times
    #[arg(long, value_name = "STATE", value_parser = state_parser())]
    pub(crate) state: Vec<Shown>,
    /// Only servers that have this in their peer id
    #[arg(long, value_name = "TEXT")]
    pub(crate) id: Option<String>,
    /// Only servers that have this in their public name
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
}

const STATES: [(&str, Shown); 4] = [
    ("online", Shown::Online),
    ("joining", Shown::Joining),
    ("offline", Shown::Offline),
    ("unreachable", Shown::Unreachable),
];

fn state_parser() -> impl TypedValueParser<Value = Shown> {
    let named = |word: String| STATES.into_iter().find(|(known, _)| *known == word);
    PossibleValuesParser::new(STATES.map(|(word, _)| word))
        .try_map(move |word| named(word).map(|(_, state)| state).ok_or("no such state"))
}

/// Which config, for commands that need only the place of the key.
#[derive(Debug, Args)]
pub(crate) struct IdentityArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The data folder, instead of the config's
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<String>,
}

impl IdentityArgs {
    /// The same as a config with `node.data_dir` set.
    pub(crate) fn into_config(self) -> ConfigArgs {
        let mut config = self.config;
        config.set.extend(self.data_dir.map(|folder| ("node.data_dir".to_owned(), folder)));
        config
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE, such as log.level=debug")?;
    let part = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric())
    };
    if !key.split('.').all(part) {
        return Err(format!("{key:?} is not a key; expected such as log.level"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_commands_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn assignments_split_at_the_first_equals_sign() {
        let Command::Run(config) = parse("petald run --set a.b_c=d=e --set x=").unwrap().command else {
            panic!()
        };
        assert_eq!(config.set, [("a.b_c".into(), "d=e".into()), ("x".into(), "".into())]);
        for wrong in ["a.b", "=x", ".a=x", "a..b=x", "a[0]=x", "a b=x"] {
            assert!(Cli::try_parse_from(["petald", "run", "--set", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn wrong_usage_is_an_error() {
        for wrong in [
            "petald",
            "petald walk",
            "petald run extra",
            "petald identity",
            "petald identity import",
            "petald probe",
            "petald probe x",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
