//! Another config while the node runs.

use super::*;
use crate::config_keeper::messages::{Apply, Validate};

fn settings(offer: Offer, stated: &[Field]) -> Settings {
    Settings { stated: stated.to_vec(), ..Settings::volatile(Some(offer)) }
}

async fn apply(store: &Addr<ServerInfoStore>, settings: &Settings) {
    store.send(Validate(Arc::new(settings.clone()))).await.unwrap().unwrap();
    store.send(Apply(Arc::new(settings.clone()))).await.unwrap();
}

fn rps(rate: f64) -> Rps {
    Rps::try_from(rate).unwrap()
}

#[actix_rt::test]
async fn what_the_config_says_anew_wins_and_the_rest_stays() {
    let store = start(settings(offer(), &[]));
    let said = Change { throughput: Some(rps(5.0)), network_rps: Some(rps(7.0)), ..online() };
    say(&store, Source::Backend, said).await.unwrap();

    let mut named = offer();
    named.server.public_name = Some("a name".into());
    named.server.throughput = rps(3.0);
    apply(&store, &settings(named.clone(), &[Field::Throughput])).await;
    let now = report(&store).await;
    assert_eq!((&now["version"], &now["last_source"]), (&json!(3), &json!("config")));
    assert_eq!((&now["public_name"], &now["throughput"]), (&json!("a name"), &json!(3.0)));
    // The backend's words of other things.
    assert_eq!((&now["network_rps"], &now["state"]), (&json!(7.0), &json!("online")));
    assert_eq!(now["sources"]["throughput"], json!(null));

    // The same again is no change; a figure that is no longer stated goes back to the default.
    apply(&store, &settings(named.clone(), &[Field::Throughput])).await;
    assert_eq!(report(&store).await["version"], 3);
    say(&store, Source::Backend, Change { throughput: Some(rps(4.0)), ..Change::default() }).await.unwrap();
    named.server.throughput = rps(1.0);
    apply(&store, &settings(named, &[])).await;
    assert_eq!(report(&store).await["throughput"], 1.0);
}

#[actix_rt::test]
async fn a_state_in_words_holds_at_once_and_a_state_left_open_is_the_backends_again() {
    let store = start(settings(offer(), &[]));
    say(&store, Source::Backend, online()).await.unwrap();
    apply(&store, &settings(offer(), &[Field::State])).await;
    assert_eq!(report(&store).await["state"], "joining");
    say(&store, Source::Backend, online()).await.unwrap();
    assert_eq!(report(&store).await["state"], "joining", "the operator has said it");
    apply(&store, &settings(offer(), &[])).await;
    say(&store, Source::Backend, online()).await.unwrap();
    assert_eq!(report(&store).await["state"], "online");
}

#[actix_rt::test]
async fn figures_of_other_blocks_are_not_used() {
    let store = start(settings(offer(), &[]));
    say(&store, Source::Backend, Change { throughput: Some(rps(5.0)), ..online() }).await.unwrap();
    let mut moved = offer();
    moved.server.blocks = BlockRange::new(4, 8).unwrap();
    apply(&store, &settings(moved, &[])).await;
    let now = report(&store).await;
    assert_eq!(
        (&now["blocks"], &now["throughput"], &now["state"]),
        (&json!("4:8"), &json!(0.0), &json!("online"))
    );
}

#[actix_rt::test]
async fn another_model_is_refused() {
    let store = start(settings(offer(), &[]));
    let other = Offer { prefix: "other".parse().unwrap(), ..offer() };
    for settings in [Settings::volatile(Some(other)), Settings::volatile(None)] {
        assert!(store.send(Validate(Arc::new(settings))).await.unwrap().is_err());
    }
}

#[actix_rt::test]
async fn the_next_incarnation_goes_on_from_there() {
    let first = settings(offer(), &[]);
    let store = start(first.clone());
    say(&store, Source::Backend, online()).await.unwrap();
    let mut named = offer();
    named.server.public_name = Some("a name".into());
    let again = Settings { memory: first.memory, ..settings(named, &[]) };
    apply(&store, &again).await;
    let before = report(&store).await;
    let next = start(again);
    assert_eq!(report(&next).await["version"], before["version"]);
    assert_eq!(report(&next).await["state"], "online");
}
