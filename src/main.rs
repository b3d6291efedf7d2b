//! The program `petald`: what the operator touches.
//!
//! | module | holds |
//! | --- | --- |
//! | [`cli`] | the command line |
//! | [`config`] | the config, its layers, and what is wrong with it |
//! | [`mod@check`] | `petald check` |
//! | [`mod@status`] | `petald status` |
//! | [`probe`] | `petald probe` |
//! | [`mod@map`] | `petald map` |
//! | [`manual`] | `petald man`, `petald completions` |
//! | [`daemon`], [`foundation`], [`greeting`] | `petald run`: before, around and beside the tree of actors |
//! | [`crawler`] | a thread for crawls of the whole swarm |
//! | [`tree`] | the tree of actors: what stands above what, and what each is made of |
//! | [`mod@identity`], [`data_dir`] | what outlives the process |
//! | [`reload`] | SIGHUP: who is given what of a new config |
//! | [`logging`], [`progress`], [`service_manager`], [`signals`], [`exit`] | how it speaks, listens and ends |

mod check;
mod cli;
mod config;
mod crawler;
mod daemon;
mod data_dir;
mod descriptors;
mod exit;
mod foundation;
mod greeting;
mod identity;
mod logging;
mod manual;
mod map;
mod probe;
mod progress;
mod reload;
mod service_manager;
mod signals;
mod status;
mod tree;

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use libp2p::Multiaddr;

use crate::cli::{Cli, Command, ConfigArgs, IdentityCommand};
use crate::config::Config;
use crate::exit::{Exit, Misuse};
use crate::identity::Identity;
use crate::probe::{Means, Target};
use crate::progress::Progress;
use crate::status::Show;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too. A closed terminal is nobody's concern.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done }.into();
        }
    };
    match obey(cli.command) {
        Ok(exit) => exit.into(),
        Err(error) => {
            // Each error tells its own cause.
            eprintln!("{error}");
            Exit::of(&error).into()
        }
    }
}

fn obey(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Run(config) => {
            let config = load(&config)?;
            // One thread for the actors and the swarm: a call that is answered passes between them twice, and waking
            // another thread costs more than all the rest of it. Whatever waits for a disk has threads of its own.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let system = actix_rt::System::with_tokio_rt(|| runtime);
            // What is blocked on is asked anew whenever any actor wakes: a handle is asked faster than the daemon.
            let ended = system.block_on(async { actix_rt::spawn(daemon::run(config)).await });
            ended.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
        }
        Command::Check { config, offline } => {
            let config = load(&config)?;
            let exposure = Identity::exposure_of(&config.identity_file());
            let warnings = config.warnings.iter().map(ToString::to_string).chain(exposure);
            for warning in warnings {
                say(format_args!("warning: {warning}\n"));
            }
            say("config ok\n");
            if offline {
                return Ok(Exit::Done);
            }
            let findings = within_runtime(check::check(&config, &Progress::default()))?;
            for finding in &findings {
                say(format_args!("{finding}\n"));
            }
            Ok(Exit::works(findings.iter().all(check::Finding::is_ok)))
        }
        Command::Map { peers, json, watch, filter, config } => {
            let means = map::means(peers, &load(&config)?)?;
            Ok(within_runtime(map::map(&means, map::Show { json, watch, filter }))??)
        }
        Command::Probe { target, peers, json, config } => {
            let means = means(&target, peers, &config)?;
            let report = within_runtime(probe::probe(&target, &means, &Progress::default()))??;
            match json {
                true => say(format_args!("{}\n", serde_json::to_string_pretty(&report)?)),
                false => say(&report),
            }
            Ok(Exit::works(report.is_ok()))
        }
        Command::Status { config, admin, json, watch } => {
            let client = status::client(&load(&config)?, admin)?;
            Ok(within_runtime(status::status(&client, Show { json, watch }))??)
        }
        Command::Identity(command) => identity(command),
        Command::Completions { shell } => {
            say(manual::completions(shell));
            Ok(Exit::Done)
        }
        Command::Man { dir: Some(folder), .. } => {
            manual::write_all(&folder)?;
            Ok(Exit::Done)
        }
        Command::Man { page, dir: None } => {
            say(manual::page(&page)?);
            Ok(Exit::Done)
        }
    }
}

/// Carries out what speaks to the swarm and ends.
fn within_runtime<T>(work: impl Future<Output = T>) -> std::io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("pool").enable_all().build()?;
    let done = runtime.block_on(work);
    // A name that is still being resolved must not keep us.
    runtime.shutdown_background();
    Ok(done)
}

/// How a probe comes to its target: the command line and, if one is named, a config.
fn means(target: &Target, peers: Vec<Multiaddr>, args: &ConfigArgs) -> anyhow::Result<Means> {
    let mut means = Means {
        private_addresses: peers.iter().chain(&target.address).any(probe::is_private),
        entrances: peers,
        model: None,
    };
    if args.config.is_some() || !args.set.is_empty() {
        let config = load(args)?;
        means.private_addresses |= config.network.private_addresses;
        means.entrances.extend(config.network.initial_peers);
        means.model = config.serving.map(|serving| (serving.model.dht_prefix, serving.model.num_blocks));
    }
    if target.address.is_none() && means.entrances.is_empty() {
        return Err(Misuse::NoWayIn.into());
    }
    Ok(means)
}

fn identity(command: IdentityCommand) -> anyhow::Result<Exit> {
    let identity = match command {
        IdentityCommand::New(at) => Identity::create(&load(&at.into_config())?.identity_file())?,
        IdentityCommand::Show(at) => Identity::load(&load(&at.into_config())?.identity_file())?,
        IdentityCommand::Import { file, at } => {
            Identity::import(&file, &load(&at.into_config())?.identity_file())?
        }
        IdentityCommand::Export { file, at } => {
            Identity::export(&load(&at.into_config())?.identity_file(), &file)?
        }
    };
    say(format_args!(
        "peer id   {}\nkey type  {}\nfile      {}\n",
        identity.peer_id(),
        identity.key_type(),
        identity.file().display()
    ));
    if let Some(exposure) = identity.exposure() {
        eprintln!("warning: {exposure}");
    }
    Ok(Exit::Done)
}

fn load(args: &ConfigArgs) -> anyhow::Result<Config> {
    Ok(Config::load(args.config.as_deref(), &args.set)?)
}

/// Writes to standard output. Nobody there to read it is no reason to fail.
fn say(text: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = write!(out, "{text}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exit code of a command line whose words are parted by spaces.
    fn exit_of(line: &str) -> Exit {
        obey(Cli::try_parse_from(line.split(' ')).unwrap().command).unwrap_or_else(|error| Exit::of(&error))
    }

    #[test]
    fn exit_codes_are_the_contract() {
        let folder = tempfile::tempdir().unwrap();
        let at = |line: &str| format!("petald {line}={}", folder.path().display());
        assert_eq!(exit_of("petald check --offline"), Exit::Done);
        assert_eq!(exit_of("petald check --offline --config no/such/file"), Exit::Config);
        assert_eq!(exit_of("petald run --set log.levle=info"), Exit::Config);
        assert_eq!(exit_of(&at("identity show --data-dir")), Exit::Io);
        assert_eq!(exit_of(&at("identity new --data-dir")), Exit::Done);
        assert_eq!(exit_of(&at("identity new --data-dir")), Exit::Io);
        assert_eq!(exit_of(&at("identity show --data-dir")), Exit::Done);
        let ports = "--set admin.enabled=false --set network.listen=/ip4/127.0.0.1/tcp/0";
        assert_eq!(exit_of(&at(&format!("check {ports} --set node.data_dir"))), Exit::Done);
        assert_eq!(exit_of("petald man petald-walk"), Exit::Usage);
        assert_eq!(exit_of(&at("man --dir")), Exit::Done);
        assert_eq!(exit_of("petald probe 12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"), Exit::Usage);
        let _held = data_dir::DataDir::open(folder.path()).unwrap();
        assert_eq!(exit_of(&at("run --set node.data_dir")), Exit::InUse);
        let nobody = "--set network.initial_peers=/ip4/127.0.0.1/tcp/1/p2p/QmPnXSzccaB3wHMGgyvs8QMSBSkoQJAPM5XwqJ64Rfs7gD";
        assert_eq!(exit_of(&at(&format!("check {nobody} --set node.data_dir"))), Exit::Unavailable);
    }
}
