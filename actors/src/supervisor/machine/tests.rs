//! The machine against a world that does anything at any moment: what must hold, holds after every step.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::supervisor::{
    backoff::Backoff,
    child::{Child, Role},
    incarnation::{Awaited, Life, Spawn},
    intensity::Intensity,
    plan::Plan,
    policy::Strategy as Tactic,
    settings::ChildSettings,
    status::TreeState,
};

/// The world makes incarnations, not the factory.
#[derive(Debug)]
struct Nobody;

impl Spawn for Nobody {
    fn spawn(&mut self, _: u64) -> Result<(Life, [Awaited; 2]), String> {
        unreachable!("nothing runs here")
    }
}

const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

const INTENSITY: Intensity = Intensity { restarts: 4, within: Duration::from_secs(600) };

fn settings(restart: Restart) -> ChildSettings {
    ChildSettings {
        restart,
        backoff: Backoff { jitter: 0.5, ..Backoff::default() },
        ..ChildSettings::default()
    }
}

fn leaf(restart: Restart) -> Child {
    Child { name: "", settings: settings(restart), role: Role::Actor(Box::new(Nobody)) }
}

fn branch(strategy: Tactic, children: Vec<Child>) -> Child {
    let role = Role::Supervisor { strategy, intensity: INTENSITY, children };
    Child { name: "", settings: settings(Restart::Permanent), role }
}

fn named(mut root: Child) -> Child {
    fn name(child: &mut Child, names: &mut impl Iterator<Item = &'static str>) {
        child.name = names.next().unwrap_or("too many");
        if let Role::Supervisor { children, .. } = &mut child.role {
            children.iter_mut().for_each(|child| name(child, names));
        }
    }
    name(&mut root, &mut NAMES.into_iter());
    root
}

fn any_restart() -> impl Strategy<Value = Restart> {
    prop_oneof![6 => Just(Restart::Permanent), 1 => Just(Restart::Transient), 1 => Just(Restart::Temporary)]
}

fn any_tactic() -> impl Strategy<Value = Tactic> {
    prop_oneof![Just(Tactic::OneForOne), Just(Tactic::RestForOne), Just(Tactic::OneForAll)]
}

/// Two supervisors and an actor under a root: at most twelve nodes. Described, since a tree cannot be cloned.
type Shape = (Tactic, Vec<(Tactic, Vec<Restart>)>, Restart);

fn any_shape() -> impl Strategy<Value = Shape> {
    let inner = (any_tactic(), proptest::collection::vec(any_restart(), 1..=4));
    (any_tactic(), proptest::collection::vec(inner, 1..=2), any_restart())
}

fn tree((tactic, branches, last): &Shape) -> Child {
    let leaves = |kinds: &[Restart]| kinds.iter().copied().map(leaf).collect();
    let mut children: Vec<_> =
        branches.iter().map(|(tactic, kinds)| branch(*tactic, leaves(kinds))).collect();
    children.push(leaf(*last));
    named(branch(*tactic, children))
}

/// Something that may happen; `usize` picks among those to whom it can.
#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    /// The supervisor itself is held up.
    Leap(u64),
    Ready(usize),
    Panic(usize),
    Finish(usize),
    Answer(usize),
    Drained(usize),
    /// Whoever was told to go is gone.
    Leave(usize),
    /// A notice about an incarnation that is long gone.
    Late(usize),
    Stop,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..20_000u64).prop_map(Step::Wait),
        1 => (1..60_000u64).prop_map(Step::Leap),
        12 => any::<usize>().prop_map(Step::Ready),
        3 => any::<usize>().prop_map(Step::Panic),
        1 => any::<usize>().prop_map(Step::Finish),
        6 => any::<usize>().prop_map(Step::Answer),
        3 => any::<usize>().prop_map(Step::Drained),
        8 => any::<usize>().prop_map(Step::Leave),
        2 => any::<usize>().prop_map(Step::Late),
    ]
}

/// What the world knows of a living incarnation.
#[derive(Debug, Default)]
struct Alive {
    generation: u64,
    ready: bool,
    asked: bool,
    draining: bool,
    going: bool,
}

struct World {
    machine: Machine,
    now: Moment,
    alive: BTreeMap<usize, Alive>,
    /// When each was last seen to crash, with the delay that was promised.
    crashed: BTreeMap<usize, Moment>,
    /// When each was restarted, since its supervisor last failed.
    restarts: BTreeMap<usize, Vec<Moment>>,
    end: Option<Outcome>,
}

impl World {
    fn new(shape: &Shape, chances: Vec<f64>) -> Self {
        let plan = Plan::new(tree(shape)).unwrap();
        let mut chances = chances.into_iter().cycle();
        let machine = Machine::new(plan.nodes, Box::new(move || chances.next().unwrap()));
        let mut world = Self {
            machine,
            now: Moment::ZERO,
            alive: BTreeMap::new(),
            crashed: BTreeMap::new(),
            restarts: BTreeMap::new(),
            end: None,
        };
        world.machine.begin(world.now);
        world.watch();
        world
    }

    fn pick(&self, which: usize, able: impl Fn(&Alive) -> bool) -> Option<(usize, u64)> {
        let able = self.alive.iter().filter(|(_, alive)| able(alive));
        let able: Vec<_> = able.map(|(&id, alive)| (id, alive.generation)).collect();
        able.get(which.checked_rem(able.len())?).copied()
    }

    fn tell(&mut self, to: Option<(usize, u64)>, news: News) {
        let Some((id, generation)) = to else { return };
        if let News::Exited(_) = news {
            self.alive.remove(&id);
        }
        self.machine.told(id, generation, news, self.now);
        self.watch();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wait(millis) => self.wait(Duration::from_millis(millis)),
            Step::Leap(millis) => {
                self.now += Duration::from_millis(millis);
                self.machine.tick(self.now);
                self.watch();
            }
            Step::Ready(which) => {
                let who = self.pick(which, |alive| !alive.ready);
                if let Some((id, _)) = who {
                    self.alive.get_mut(&id).unwrap().ready = true;
                }
                self.tell(who, News::Ready);
            }
            Step::Panic(which) => {
                self.tell(self.pick(which, |_| true), News::Exited(Exit::Panicked("boom".to_owned())));
            }
            Step::Finish(which) => {
                self.tell(self.pick(which, |alive| alive.ready), News::Exited(Exit::Finished));
            }
            Step::Answer(which) => {
                let who = self.pick(which, |alive| alive.asked);
                if let Some((id, _)) = who {
                    self.alive.get_mut(&id).unwrap().asked = false;
                }
                self.tell(who, News::Answered(serde_json::Value::Null));
            }
            Step::Drained(which) => self.tell(self.pick(which, |alive| alive.draining), News::Drained),
            Step::Leave(which) => {
                self.tell(self.pick(which, |alive| alive.going), News::Exited(Exit::Aborted));
            }
            Step::Late(which) => {
                let Some((id, generation)) = self.pick(which, |_| true) else { return };
                let before = format!("{:?}", self.machine.states);
                for news in [News::Ready, News::Drained, News::Exited(Exit::Panicked("late".to_owned()))] {
                    self.machine.told(id, generation - 1, news, self.now);
                }
                self.watch();
                assert_eq!(format!("{:?}", self.machine.states), before, "late notices change nothing");
            }
            Step::Stop => {
                self.machine.stop(self.now);
                self.watch();
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.machine.next_tick().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.machine.tick(self.now);
            self.watch();
        }
        self.now = end;
    }

    /// Does what the machine wants, and checks that it may want it.
    fn watch(&mut self) {
        while let Some(effect) = self.machine.next_effect() {
            assert!(self.end.is_none(), "nothing happens after the end: {effect:?}");
            match effect {
                Effect::Start { id, generation } => self.check_start(id, generation),
                Effect::Probe { id } => self.alive.get_mut(&id).unwrap().asked = true,
                Effect::Drain { id } => {
                    assert!(self.machine.aim != Aim::Run);
                    assert_eq!(self.alive.keys().next_back(), Some(&id), "from the last to the first");
                    self.alive.get_mut(&id).unwrap().draining = true;
                }
                Effect::Stop { id } | Effect::Abort { id } => self.alive.get_mut(&id).unwrap().going = true,
                Effect::Log(fact) => self.check_fact(fact),
                Effect::End(outcome) => {
                    assert!(self.alive.is_empty());
                    self.end = Some(outcome);
                }
            }
        }
        let believed: Vec<_> =
            (0..self.machine.nodes.len()).filter(|&id| self.machine.states[id].alive()).collect();
        assert_eq!(believed, self.alive.keys().copied().collect::<Vec<_>>());
    }

    fn check_start(&mut self, id: usize, generation: u64) {
        assert_eq!(self.machine.aim, Aim::Run, "nothing is started once it stops");
        let mut below = id;
        while let Some(parent) = self.machine.nodes[below].parent {
            let branch = self.machine.nodes[parent].branch.as_ref().unwrap();
            if branch.strategy.children_depend() {
                let (before, after): (Vec<_>, Vec<_>) = branch
                    .children
                    .iter()
                    .filter(|&&child| child != below)
                    .partition(|&&child| child < below);
                for sibling in before {
                    for leaf in self.leaves(sibling) {
                        let ended = self.machine.states[leaf].phase == Phase::Ended;
                        let serves = self.alive.get(&leaf).is_some_and(|alive| alive.ready && !alive.going);
                        assert!(ended || serves, "{leaf} does not serve, and {id} stands below it");
                    }
                }
                // A supervisor that replaces one of its own children has not failed itself.
                for sibling in after.into_iter().filter(|_| below == id) {
                    for leaf in self.leaves(sibling) {
                        assert!(
                            !self.alive.contains_key(&leaf),
                            "{leaf} stands below {id}, and has outlived it"
                        );
                    }
                }
            }
            below = parent;
        }
        let old = self.alive.insert(id, Alive { generation, ..Alive::default() });
        assert!(old.is_none(), "{id} would live twice");
    }

    fn check_fact(&mut self, fact: Fact) {
        match fact {
            Fact::Crashed { id, backoff: Some(_), .. } => {
                self.crashed.insert(id, self.now);
            }
            Fact::Restarted { id, backoff, .. } => {
                if let Some(at) = self.crashed.remove(&id) {
                    assert!(self.now >= at + backoff, "{id} is restarted too soon");
                }
                let restarts = self.restarts.entry(id).or_default();
                restarts.push(self.now);
                // Failures are counted, and each restart follows one; it may come up to a cap and a rebuild later.
                let within = INTENSITY.within - Duration::from_secs(120);
                let recent = restarts.iter().filter(|&&at| self.now - at <= within).count();
                assert!(recent <= INTENSITY.restarts as usize + 1, "{id} is restarted too often");
            }
            Fact::SupervisorFailed { id, .. } => {
                for leaf in self.leaves(id) {
                    self.crashed.remove(&leaf);
                    self.restarts.remove(&leaf);
                }
            }
            _ => {}
        }
    }

    fn leaves(&self, top: usize) -> Vec<usize> {
        self.machine.nodes[top].subtree.clone().filter(|&id| self.machine.is_actor(id)).collect()
    }

    /// Everybody does at once what is wanted of them, until nobody is asked for anything.
    fn behave(&mut self) {
        loop {
            let step = if self.pick(0, |alive| alive.going).is_some() {
                Step::Leave(0)
            } else if self.pick(0, |alive| !alive.ready).is_some() {
                Step::Ready(0)
            } else if self.pick(0, |alive| alive.asked).is_some() {
                Step::Answer(0)
            } else {
                return;
            };
            self.step(step);
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_order_is_kept_and_calm_heals_everything(
        shape in any_shape(),
        chances in proptest::collection::vec(0.0..1.0, 8),
        steps in proptest::collection::vec(any_step(), 0..150),
    ) {
        let mut world = World::new(&shape, chances);
        for step in steps {
            world.step(step);
        }
        // Calm: the longest backoff passes, step by step.
        for _ in 0..200 {
            world.behave();
            world.wait(Duration::from_millis(100));
        }
        match world.machine.aim {
            Aim::Run => {
                let status = world.machine.status(world.now);
                prop_assert_eq!(status.state, TreeState::Running, "{:#?}", status);
            }
            _ => prop_assert!(world.end.is_some() || world.alive.values().any(|alive| alive.draining)),
        }
    }

    #[test]
    fn a_stop_always_ends_in_time(
        shape in any_shape(),
        chances in proptest::collection::vec(0.0..1.0, 8),
        before in proptest::collection::vec(any_step(), 0..60),
        after in proptest::collection::vec(any_step(), 0..20),
    ) {
        let longest = tree(&shape).longest_stop();
        let mut world = World::new(&shape, chances);
        for step in before {
            world.step(step);
        }
        let begun = world.now;
        world.step(Step::Stop);
        // Those who were told to go do go; nobody answers, unless by chance.
        let mut after = after.into_iter().filter(|step| !matches!(step, Step::Wait(_) | Step::Leap(_)));
        while world.end.is_none() {
            while world.pick(0, |alive| alive.going).is_some() {
                world.step(Step::Leave(0));
            }
            match after.next() {
                Some(step) => world.step(step),
                None => world.wait(Duration::from_millis(1)),
            }
            prop_assert!(world.now - begun <= longest + Duration::from_millis(20), "it has not ended");
        }
        prop_assert!(world.alive.is_empty());
    }
}

#[test]
fn one_that_panics_while_it_waits_to_be_rebuilt_has_not_failed_by_itself() {
    let shape =
        (Tactic::RestForOne, vec![(Tactic::RestForOne, vec![Restart::Permanent; 3])], Restart::Permanent);
    let mut world = World::new(&shape, vec![0.0]);
    world.behave();
    let [first, second, third] = [2, 3, 4];
    world.step(Step::Panic(0));
    assert!(!world.alive.contains_key(&first) && world.alive[&third].going && !world.alive[&second].going);
    world.step(Step::Panic(0));
    assert!(!world.alive.contains_key(&second));
    for _ in 0..10 {
        world.behave();
        world.wait(Duration::from_millis(100));
    }
    let counts = |id: usize| (world.machine.states[id].restarts, world.machine.states[id].rebuilds);
    assert_eq!([first, second, third].map(counts), [(1, 0), (0, 1), (0, 1)]);
    assert_eq!(world.machine.states[second].panics, 1, "but it is noted");
}
