//! What changes on the page without anybody loading it again.

use hivemind_proto::records::ServerState;
use petald_actors::monitor::state::Reach;
use serde_json::json;

use crate::{
    browser::Driver,
    node::Node,
    swarms::{self, peer},
};

/// A server dies, another comes; what was opened stays open, and the keyboard where it was.
pub(crate) async fn updates(driver: &Driver) {
    let node = Node::start(peer(5)).await;
    let browser = driver.browser().await;
    browser.client.goto(&node.page()).await.unwrap();
    browser.until("the page", "return document.body.innerText.includes('Waiting for the first crawl')").await;
    node.crawled(swarms::small());
    browser.timing("rows").await;
    browser.run("window.stays = true; const b = [...document.querySelectorAll('.servers td button')].find(b => b.textContent.includes('granite')); b.click(); b.focus()").await;

    let mut swarm = swarms::small();
    swarm.models[0].servers.remove(1);
    swarm.models[0].servers[1].reach = Reach::Failed { error: "connection refused".into() };
    swarm.models[0].servers[6].info.state = ServerState::Online;
    swarm.models[0].servers.push(swarms::server(50, Some("<newcomer>"), 5, 9));
    node.crawled(swarm);
    browser.until("the newcomer", "return document.body.innerText.includes('<newcomer>')").await;
    let text = browser.run("return document.body.innerText").await;
    assert!(!text.as_str().unwrap().contains("basalt-gpu-01"), "who is gone is gone");
    let state = |number: u64| {
        format!(
            "return [...document.querySelectorAll('.servers tbody tr')].find(r => r.querySelector('code').title === '{}').className",
            peer(number)
        )
    };
    assert_eq!(browser.run(&state(2)).await, "unreachable");
    assert_eq!(browser.run(&state(7)).await, "online");
    let kept = "return [window.stays, document.activeElement.textContent.includes('granite'), document.querySelectorAll('.below').length]";
    assert_eq!(browser.run(kept).await, json!([true, true, 1]), "the same page, and nothing is lost on it");
    assert_eq!(browser.complaints().await, [""; 0]);

    // A node that goes silent is told of, with the age of what is on the page.
    node.end().await;
    browser.until("the trouble", "return !document.getElementById('trouble').hidden && document.getElementById('trouble').textContent.includes('not answered')").await;
    let age = browser.run("return document.getElementById('age').textContent").await;
    assert!(age.as_str().unwrap().starts_with("Seen "), "{age}");
    browser.close().await;
}

/// "Find my node", by hand and by keyboard.
pub(crate) async fn search(driver: &Driver) {
    let node = Node::start(peer(5)).await;
    node.crawled(swarms::small());
    let browser = driver.browser().await;
    browser.client.goto(&node.page()).await.unwrap();
    browser.timing("rows").await;
    let rows = "return [...document.querySelectorAll('.servers tbody tr')].filter(r => r.checkVisibility()).map(r => r.querySelector('.name').textContent)";
    let find = |text: &str| {
        let text = json!(text);
        format!(
            "const q = document.getElementById('query'); q.value = {text}; q.dispatchEvent(new Event('input'))"
        )
    };
    let found = |servers: &str, text: &str| {
        let said = json!(format!("{servers} found for “{text}”"));
        format!("return document.getElementById('found').textContent === {said}")
    };
    let own = peer(5).to_string();
    let part = peer(2).to_string()[20..40].to_owned();
    for (text, servers, names) in [
        ("NORTH", "1 server", Some(json!(["north"]))),
        (&part, "1 server", Some(json!([""]))),
        ("petald-0.1.0", "5 servers", None),
        ("nobody at all", "0 servers", Some(json!([]))),
    ] {
        browser.run(&find(text)).await;
        browser.until(text, &found(servers, text)).await;
        if let Some(names) = names {
            assert_eq!(browser.run(rows).await, names, "{text}");
        }
    }
    browser.run("document.getElementById('mine').click()").await;
    browser.until("mine", &found("1 server", &own)).await;
    assert_eq!(browser.run(rows).await, json!(["this one is mine"]));
    // What was looked for is in the address, for whoever is sent it.
    let address = browser.client.current_url().await.unwrap();
    assert_eq!(address.fragment(), Some(own.as_str()));
    browser.client.refresh().await.unwrap();
    browser.timing("rows").await;
    browser.until("mine again", &found("1 server", &own)).await;
    assert_eq!(browser.run(rows).await, json!(["this one is mine"]));
    browser.picture("search").await;
    browser.run(&find("")).await;
    browser.until("all", "return document.querySelectorAll('.servers tbody tr').length === 12").await;
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.close().await;
}
