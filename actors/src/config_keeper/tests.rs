//! All or nothing, one after the other, and whoever is restarted meanwhile.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use actix::{Addr, Message};
use futures::future::LocalBoxFuture;
use tokio::time::{self, sleep};

use super::{
    messages::{Apply, Validate},
    *,
};

/// What the parties of a test were asked and told, in order.
type Told = Arc<Mutex<Vec<String>>>;

/// What a party answers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Accepts,
    Refuses,
    Hangs,
}

#[derive(Debug)]
struct Scripted(&'static str, Answer, Told);

impl Party for Scripted {
    fn name(&self) -> &str {
        self.0
    }

    fn validate(&self) -> LocalBoxFuture<'static, Result<(), Refusal>> {
        self.2.lock().unwrap().push(format!("validate {}", self.0));
        let answer = self.1;
        Box::pin(async move {
            match answer {
                Answer::Accepts => Ok(()),
                Answer::Refuses => Err(Refusal("no".into())),
                Answer::Hangs => std::future::pending().await,
            }
        })
    }

    fn apply(&self) -> LocalBoxFuture<'static, ()> {
        self.2.lock().unwrap().push(format!("apply {}", self.0));
        Box::pin(async {})
    }
}

struct Lab {
    keeper: Addr<ConfigKeeper>,
    settings: Settings,
}

impl Lab {
    fn new(read: impl Fn() -> Result<Proposal, Vec<String>> + Send + Sync + 'static) -> Self {
        time::pause();
        let (wanted, reloads) = (Arc::default(), watch::Sender::default());
        let settings = Settings { read: Arc::new(read), wanted, reloads };
        Self { keeper: ConfigKeeper::new(settings.clone(), Birth::detached().0).start(), settings }
    }

    /// Parties that answer so, and all that they are asked and told in one reload.
    async fn reload_of(answers: &[(&'static str, Answer)]) -> (Outcome, Vec<String>) {
        let told = Told::default();
        let lab = {
            let (answers, told) = (answers.to_vec(), Arc::clone(&told));
            Self::new(move || {
                let party = |(name, answer): &(&'static str, Answer)| -> Box<dyn Party> {
                    Box::new(Scripted(name, *answer, Arc::clone(&told)))
                };
                Ok(Proposal {
                    changed: vec!["a.b".into()],
                    restart: vec!["c.d".into()],
                    parties: answers.iter().map(party).collect(),
                    ..Proposal::default()
                })
            })
        };
        lab.settings.wanted.notify_one();
        let outcome = lab.outcome(1).await;
        let told = told.lock().unwrap().clone();
        (outcome, told)
    }

    /// What became of the reload with this number.
    async fn outcome(&self, number: u64) -> Outcome {
        let mut reloads = self.settings.reloads.subscribe();
        let done =
            reloads.wait_for(|reloads| reloads.accepted + reloads.refused >= number && !reloads.reloading);
        time::timeout(Duration::from_secs(60), done).await.unwrap().unwrap().last.clone().unwrap()
    }

    async fn status(&self) -> serde_json::Value {
        self.keeper.send(Probe).await.unwrap().0
    }
}

#[actix_rt::test]
async fn everybody_is_asked_before_anybody_is_told() {
    let (outcome, told) = Lab::reload_of(&[("one", Answer::Accepts), ("two", Answer::Accepts)]).await;
    let (changed, restart, warnings) = (vec!["a.b".into()], vec!["c.d".into()], vec![]);
    assert_eq!(outcome, Outcome::Accepted { changed, restart, warnings });
    assert_eq!(told, ["validate one", "validate two", "apply one", "apply two"]);
}

#[actix_rt::test]
async fn one_refusal_is_enough_for_nobody_to_be_told() {
    let all = [("one", Answer::Accepts), ("two", Answer::Refuses), ("three", Answer::Refuses)];
    let (outcome, told) = Lab::reload_of(&all).await;
    assert_eq!(
        outcome,
        Outcome::Refused { problems: vec!["two refuses: no".into(), "three refuses: no".into()] }
    );
    assert_eq!(told, ["validate one", "validate two", "validate three"]);
}

#[actix_rt::test]
async fn one_that_does_not_answer_has_not_accepted() {
    let (outcome, told) = Lab::reload_of(&[("one", Answer::Hangs), ("two", Answer::Accepts)]).await;
    assert_eq!(outcome, Outcome::Refused { problems: vec!["one does not answer".into()] });
    assert_eq!(told.len(), 2, "{told:?}");
}

#[actix_rt::test]
async fn what_cannot_be_read_is_told_and_counted() {
    let lab = Lab::new(|| Err(vec!["line 3".into(), "line 5".into()]));
    lab.settings.wanted.notify_one();
    let problems = vec!["line 3".to_owned(), "line 5".into()];
    assert_eq!(lab.outcome(1).await, Outcome::Refused { problems });
    let status = lab.status().await;
    assert_eq!(
        (&status["accepted"], &status["refused"], &status["reloading"]),
        (&0.into(), &1.into(), &false.into())
    );
    assert_eq!(status["last"]["problems"][1], "line 5");
    assert!(status["seconds_since_last"].is_number(), "{status}");
}

#[actix_rt::test]
async fn a_reader_that_panics_costs_one_reload() {
    let lab = Lab::new(|| panic!("the reader broke"));
    lab.settings.wanted.notify_one();
    assert!(matches!(lab.outcome(1).await, Outcome::Refused { .. }));
    lab.settings.wanted.notify_one();
    assert!(matches!(lab.outcome(2).await, Outcome::Refused { .. }));
}

#[actix_rt::test]
async fn wishes_are_kept_while_one_is_carried_out_and_while_nobody_is_there() {
    let reads = Arc::new(AtomicUsize::new(0));
    let lab = {
        let reads = Arc::clone(&reads);
        Lab::new(move || {
            reads.fetch_add(1, Ordering::Relaxed);
            let hangs = Box::new(Scripted("slow", Answer::Hangs, Told::default()));
            Ok(Proposal { parties: vec![hangs], ..Proposal::default() })
        })
    };
    lab.settings.wanted.notify_one();
    sleep(Duration::from_millis(200)).await;
    assert_eq!((reads.load(Ordering::Relaxed), lab.status().await["reloading"].clone()), (1, true.into()));
    // However often it is wanted meanwhile, it follows once.
    (0..10).for_each(|_| lab.settings.wanted.notify_one());
    lab.outcome(2).await;
    sleep(Duration::from_millis(200)).await;
    assert_eq!(reads.load(Ordering::Relaxed), 2);

    // A keeper that ends while one is under way, and the next one.
    lab.settings.wanted.notify_one();
    sleep(Duration::from_millis(200)).await;
    let Lab { keeper, settings } = lab;
    keeper.do_send(Stop);
    sleep(Duration::from_millis(200)).await;
    settings.wanted.notify_one();
    let keeper = ConfigKeeper::new(settings.clone(), Birth::detached().0).start();
    let lab = Lab { keeper, settings };
    lab.outcome(3).await;
    assert_eq!((reads.load(Ordering::Relaxed), lab.status().await["refused"].clone()), (4, 3.into()));
}

#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for ConfigKeeper {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        actix::ActorContext::stop(ctx);
    }
}

/// An actor that lives by a number.
struct Counter(u32);

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Validate<u32>> for Counter {
    type Result = Result<(), Refusal>;

    fn handle(&mut self, Validate(number): Validate<u32>, _: &mut Self::Context) -> Self::Result {
        if *number == 13 { Err(Refusal("unlucky".into())) } else { Ok(()) }
    }
}

impl Handler<Apply<u32>> for Counter {
    type Result = ();

    fn handle(&mut self, Apply(number): Apply<u32>, _: &mut Self::Context) {
        self.0 = *number;
    }
}

#[derive(Message)]
#[rtype(result = "u32")]
struct Number;

impl Handler<Number> for Counter {
    type Result = u32;

    fn handle(&mut self, _: Number, _: &mut Self::Context) -> u32 {
        self.0
    }
}

#[actix_rt::test]
async fn an_actor_and_all_that_follow_it_live_by_what_was_applied() {
    let seat: Seat<Counter, u32> = Seat::new(1);
    // Nobody is there to ask: whoever comes is built from it.
    let party = ActorParty::new("counter", &seat, 2);
    assert_eq!(party.validate().await, Ok(()));
    assert_eq!(*seat.settings.now(), 1, "a question changes nothing");
    party.apply().await;
    assert_eq!(*seat.settings.now(), 2);

    let counter = Counter(*seat.settings.now()).start();
    seat.slot.fill(counter.clone());
    let refused = ActorParty::new("counter", &seat, 13).validate().await;
    assert_eq!(refused, Err(Refusal("unlucky".into())));
    let party = ActorParty::new("counter", &seat, 3);
    party.validate().await.unwrap();
    assert_eq!(counter.send(Number).await.unwrap(), 2);
    party.apply().await;
    assert_eq!((counter.send(Number).await.unwrap(), *seat.settings.now()), (3, 3));
}
