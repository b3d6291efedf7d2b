//! Bad weather around petald, and inside of it.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Options,
    figures::{Figures, LONGEST_WINDOW, Window},
    node::{Home, Petald},
    schedule::{Gust, Trouble},
    world::{BOOTSTRAPS, PEERS, World, unix_now},
};
use crate::support::report;

/// The defaults, 60 s and 300 s, scaled down.
const PERIOD: Duration = Duration::from_secs(10);
const TTL: f64 = 50.0;

/// Every record is back within this time after the weather has cleared.
const PROMISE: Duration = Duration::from_secs(20);

/// Outside of kill windows.
const VISIBLE: f64 = 0.999;

const LOOK: Duration = Duration::from_secs(1);
const START_LIMIT: Duration = Duration::from_secs(20);

/// Between two panics of a gust.
const PANICS_APART: Duration = Duration::from_millis(500);

struct Storm<'a> {
    world: &'a mut World,
    home: Home,
    petald: Option<Petald>,
    began: f64,
    windows: Vec<Window>,
    faults: Vec<String>,
    slowest_return: f64,
    slowest_renewal: f64,
    panics: usize,
}

/// Runs the seed's schedule.
pub(crate) async fn run(world: &mut World, options: &Options) -> Result<(), String> {
    let gusts = Gust::schedule(options.seed, options.weather);
    println!("PETALD_CHAOS_SEED={} PETALD_CHAOS_SECONDS={}", options.seed, options.weather.as_secs());
    // As many of them as there is time for.
    gusts.iter().for_each(|gust| println!("  {gust}"));

    world.populate(&PEERS).await;
    let home = world.home(&BOOTSTRAPS, "10s", "50s");
    let petald = home.run(&world.net).await;
    world.watch(&petald, LOOK).await;
    world.visible(0.0, START_LIMIT).await?;
    world.looks.clear();
    let mut storm = Storm {
        world,
        home,
        petald: Some(petald),
        began: unix_now(),
        windows: Vec::new(),
        faults: Vec::new(),
        slowest_return: 0.0,
        slowest_renewal: 0.0,
        panics: 0,
    };
    let end = Instant::now() + options.weather;
    for gust in gusts.iter().take_while(|_| Instant::now() < end) {
        storm.live_through(gust).await;
    }
    storm.tell(options).await
}

impl Storm<'_> {
    fn say(&self, what: &str) {
        println!("  {:6.1} {what}", unix_now() - self.began);
    }

    async fn live_through(&mut self, gust: &Gust) {
        sleep(gust.calm).await;
        self.say(&format!("{:?}", gust.troubles));
        let end = Instant::now() + gust.lasts;
        let mut killed = None;
        for trouble in &gust.troubles {
            killed = self.begin(trouble).await.or(killed);
        }
        sleep_until(end).await;
        for trouble in &gust.troubles {
            self.end(trouble).await;
        }
        let cleared = unix_now();
        // From the clearing, or from the look that was found before it.
        match self.world.visible(cleared, PROMISE).await {
            Ok(took) => self.slowest_return = self.slowest_return.max(took),
            Err(fault) => self.fault(format!("after {:?}: {fault}", gust.troubles)),
        }
        match self.world.renewed(cleared, TTL, PROMISE).await {
            Ok(took) => self.slowest_renewal = self.slowest_renewal.max(took),
            Err(fault) => self.fault(format!("after {:?}: {fault}", gust.troubles)),
        }
        if let Some(status) = self.petald.as_mut().and_then(Petald::ended) {
            self.fault(format!("petald ended: {status}"));
        }
        if let Some(at) = killed {
            self.close_window(at);
        }
    }

    fn fault(&mut self, what: String) {
        self.say(&format!("FAULT: {what}"));
        self.faults.push(what);
    }

    /// The kill at `at` was over with the first look that found what was stored after it.
    fn close_window(&mut self, at: f64) {
        let anew = self.world.looks.iter().find(|look| look.found() && look.stalest >= at + TTL);
        let back = anew.map_or(f64::INFINITY, |look| look.at + look.took);
        self.say(&format!("kill -9 at {:.1}, visible anew after {:.1} s", at - self.began, back - at));
        self.windows.push(Window { from: at, until: back.min(at + LONGEST_WINDOW) });
    }

    /// The time of a kill, if it was one.
    async fn begin(&mut self, trouble: &Trouble) -> Option<f64> {
        let petald = self.petald.as_ref()?;
        match trouble {
            Trouble::Restart(peers) => {
                for peer in peers {
                    self.world.peers.kill(peer).await;
                }
            }
            Trouble::Cut(name) => self.world.net.plug(name, false).await,
            Trouble::Rough(name) => {
                let (delay, loss) = trouble.weather();
                self.world.net.weather(name, delay, loss).await;
            }
            Trouble::Stop => petald.signal(Signal::STOP),
            Trouble::FullDisk => {
                if let Err(error) = petald.fill_disk() {
                    self.fault(format!("the log disk could not be filled: {error}"));
                }
            }
            Trouble::Panics(actors) => {
                for actor in actors {
                    // One that is being rebuilt cannot panic just now.
                    self.panics += usize::from(petald.crash(actor).await.is_ok());
                    sleep(PANICS_APART).await;
                }
            }
            Trouble::Kill => {
                let at = unix_now();
                self.petald.take()?.kill().await;
                self.petald = Some(self.home.run(&self.world.net).await);
                return Some(at);
            }
        }
        None
    }

    async fn end(&mut self, trouble: &Trouble) {
        let Some(petald) = self.petald.as_ref() else { return };
        match trouble {
            Trouble::Restart(peers) => {
                for peer in peers {
                    self.world.peers.start(&self.world.net, peer).await;
                }
            }
            Trouble::Cut(name) => self.world.net.plug(name, true).await,
            Trouble::Rough(name) => self.world.net.weather(name, Duration::ZERO, 0.0).await,
            Trouble::Stop => petald.signal(Signal::CONT),
            Trouble::FullDisk => {
                if let Err(error) = petald.empty_disk() {
                    self.fault(format!("the log disk could not be emptied: {error}"));
                }
            }
            Trouble::Kill | Trouble::Panics(_) => {}
        }
    }

    async fn tell(mut self, options: &Options) -> Result<(), String> {
        // Whatever is under way is looked at as well.
        sleep(PERIOD / 2).await;
        self.world.look().await;
        let figures = Figures::of(&self.world.looks, &self.windows);
        let minutes = (unix_now() - self.began) / 60.0;
        report(&format!("chaos, seed {}, {minutes:.1} minutes: {figures}", options.seed));
        let windows: Vec<String> =
            self.windows.iter().map(|window| format!("{:.1}", window.until - window.from)).collect();
        report(&format!("kill windows, in seconds: {}", windows.join(" ")));
        report(&format!(
            "after the weather cleared: records found within {:.1} s, stored anew within {:.1} s (promise {PROMISE:?}); \
             {} panics",
            self.slowest_return, self.slowest_renewal, self.panics
        ));
        for look in figures.missed.iter().chain(&figures.unfit) {
            let evidence = look.evidence.as_deref().unwrap_or("nothing was asked again");
            println!("  not found at {:.1}: {look:?}: {evidence}", look.at - self.began);
        }
        if let Some(petald) = self.petald.take() {
            let status = petald.stop().await;
            if status.code() != Some(0) {
                self.fault(format!("the drain ended with {status}"));
            }
        }
        if !figures.is_fit() {
            self.fault(format!("the reader itself failed in {} looks", figures.unfit.len()));
        }
        if figures.visible() < VISIBLE {
            self.fault(format!("visible in {:.2} % of the looks", 100.0 * figures.visible()));
        }
        let faults = self.faults.join("\n");
        if !faults.is_empty() || options.keep {
            println!("--- what petald said ---\n{}", self.home.output());
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}
