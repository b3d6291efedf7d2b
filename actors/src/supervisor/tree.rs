//! The supervisor at work: carries out what the machine says, and tells it what happens.
//!
//! Everything runs on the arbiter on which the tree was started, so that tokio's clock, paused in a test, governs all
//! of it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::{
    child::Child,
    handle::{Command, CrashError, Handle, LastStatus},
    incarnation::{Awaited, Life, Spawn},
    log::log,
    machine::{Effect, Exit, Machine, Moment, News},
    panics::{self, watch_panics},
    plan::{Plan, TreeError},
};

/// How long to sleep when nothing is due. Any event ends it, so its length does not matter.
const NOTHING_DUE: Duration = Duration::from_secs(3600);

/// How a tree ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was told to stop, and all actors have been stopped.
    Drained,
    /// An actor failed more often than every supervisor above it tolerates. The others have been drained.
    GaveUp {
        /// Which one, and why.
        cause: String,
    },
}

/// A tree that can be run: every name is unique, every parameter possible.
#[derive(Debug)]
pub struct Tree {
    plan: Plan,
    longest_stop: Duration,
}

impl Tree {
    /// Refuses a tree that cannot be meant.
    pub fn new(root: Child) -> Result<Self, TreeError> {
        let longest_stop = root.longest_stop();
        Ok(Self { plan: Plan::new(root)?, longest_stop })
    }

    /// The longest time from a stop to its outcome: all stop deadlines together.
    pub fn longest_stop(&self) -> Duration {
        self.longest_stop
    }

    /// Starts the tree on the current arbiter. It runs whether or not the outcome is waited for.
    pub fn start(self) -> (Handle, impl Future<Output = Outcome> + use<>) {
        watch_panics();
        let Plan { nodes, spawners } = self.plan;
        let machine = Machine::new(nodes, Box::new(rand::random::<f64>));
        let last = Arc::new(Mutex::new(machine.status(Moment::ZERO)));
        let (handle, commands, stop) = Handle::new(Arc::clone(&last));
        let lives = spawners.iter().map(|_| None).collect();
        let origin = Instant::now();
        let runner = Runner { machine, spawners, lives, news: FuturesUnordered::new(), origin, last };
        let task = actix_rt::spawn(runner.run(commands, stop));
        (handle, async move {
            task.await.unwrap_or_else(|error| {
                let cause = match error.try_into_panic() {
                    Ok(payload) => panics::text(payload.as_ref()),
                    Err(_) => "its arbiter was stopped".to_owned(),
                };
                Outcome::GaveUp { cause: format!("the supervisor ended: {cause}") }
            })
        })
    }
}

/// News of one incarnation of one actor.
type Notice = LocalBoxFuture<'static, Option<(usize, u64, News)>>;

struct Runner {
    machine: Machine,
    spawners: Vec<Option<Box<dyn Spawn>>>,
    lives: Vec<Option<Life>>,
    /// At most four for each living actor: its readiness, its end, an answer, its drain.
    news: FuturesUnordered<Notice>,
    origin: Instant,
    last: LastStatus,
}

impl Runner {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut stop: watch::Receiver<bool>,
    ) -> Outcome {
        let mut stopping = false;
        self.machine.begin(self.now());
        loop {
            if let Some(outcome) = self.carry_out() {
                *self.last.lock().unwrap_or_else(PoisonError::into_inner) = self.machine.status(self.now());
                return outcome;
            }
            let due = self.machine.next_tick().unwrap_or_else(|| self.now() + NOTHING_DUE);
            let due = self.origin.checked_add(due).unwrap_or_else(|| Instant::now() + NOTHING_DUE);
            // News first: an answer that has arrived counts, even if its deadline has passed as well.
            tokio::select! {
                biased;
                Some(notice) = self.news.next() => self.hear(notice),
                // Dropping all handles is no wish to stop.
                Ok(_) = stop.wait_for(|stop| *stop), if !stopping => {
                    stopping = true;
                    self.machine.stop(self.now());
                }
                Some(command) = commands.recv() => self.obey(command),
                () = sleep_until(due) => self.machine.tick(self.now()),
            }
        }
    }

    fn now(&self) -> Moment {
        self.origin.elapsed()
    }

    /// Does everything that the machine wants done, and whatever that leads to at once.
    fn carry_out(&mut self) -> Option<Outcome> {
        while let Some(effect) = self.machine.next_effect() {
            match effect {
                Effect::Start { id, generation } => self.start(id, generation),
                Effect::Probe { id } => self.ask(id, Life::probe),
                Effect::Drain { id } => self.ask(id, Life::drain),
                Effect::Stop { id } => self.act(id, Life::stop),
                Effect::Abort { id } => self.act(id, |life| life.abort()),
                Effect::Log(fact) => log(&self.machine, fact),
                Effect::End(outcome) => return Some(outcome),
            }
        }
        None
    }

    fn start(&mut self, id: usize, generation: u64) {
        let Some(spawner) = self.spawners[id].as_mut() else { return };
        match spawner.spawn(generation) {
            Ok((life, awaited)) => {
                self.lives[id] = Some(life);
                for news in awaited {
                    self.listen(id, generation, news);
                }
            }
            Err(cause) => {
                let now = self.now();
                self.machine.told(id, generation, News::Exited(Exit::Panicked(cause)), now);
            }
        }
    }

    fn ask(&mut self, id: usize, question: impl FnOnce(&Life) -> Awaited) {
        if let Some(life) = &self.lives[id] {
            let (generation, answer) = (life.generation, question(life));
            self.listen(id, generation, answer);
        }
    }

    fn act(&mut self, id: usize, action: impl FnOnce(&mut Life)) {
        if let Some(life) = &mut self.lives[id] {
            action(life);
        }
    }

    fn listen(&mut self, id: usize, generation: u64, news: Awaited) {
        self.news.push(Box::pin(async move { Some((id, generation, news.await?)) }));
    }

    fn hear(&mut self, notice: Option<(usize, u64, News)>) {
        let Some((id, generation, news)) = notice else { return };
        if let News::Exited(_) = news {
            self.lives[id].take_if(|life| life.generation == generation);
        }
        self.machine.told(id, generation, news, self.now());
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Status(reply) => {
                let _ = reply.send(self.machine.status(self.now()));
            }
            Command::Crash(name, reply) => {
                let _ = reply.send(self.crash(name));
            }
        }
    }

    fn crash(&mut self, name: String) -> Result<(), CrashError> {
        match self.machine.actor(&name) {
            None => Err(CrashError::Unknown(name)),
            Some(id) => match &mut self.lives[id] {
                None => Err(CrashError::NotRunning(name)),
                Some(life) => {
                    life.crash();
                    Ok(())
                }
            },
        }
    }
}
