//! What peers say is text on the page, whatever it is.

use petald_actors::monitor::state::{BadRecord, Reach};

use crate::{
    browser::Driver,
    node::Node,
    swarms::{self, peer},
};

/// Each would do something if it were taken for markup, a script, an address or a key.
const NAMES: &[&str] = &[
    "<img src=x onerror=\"window.hacked = 1\">",
    "<script>window.hacked = 1</script>",
    "\"><svg onload=window.hacked=1>",
    "javascript:window.hacked=1",
    "__proto__",
    "constructor",
    "{{constructor.constructor('window.hacked=1')()}}",
    "\u{202e}desrever si siht",
    "a\u{0}b\u{7}c\nd",
    "</title><style>*{display:none}</style>",
    "𝕏🦀\u{200d}\u{fe0f}é",
];

pub(crate) async fn names(driver: &Driver) {
    let node = Node::start(peer(5)).await;
    let mut swarm = swarms::small();
    for (number, name) in NAMES.iter().enumerate() {
        let mut server = swarms::server(300 + number as u64, Some(name), 0, 80);
        server.info.version = Some((*name).into());
        server.info.adapters = vec![(*name).into()];
        server.info.torch_dtype = Some((*name).into());
        server.addresses = vec![(*name).into()];
        server.notes = vec![(*name).into()];
        server.info.next_pings = Some([((*name).to_owned(), Some(0.1))].into());
        server.pings_to_me = [((*name).to_owned(), None)].into();
        server.reach = Reach::Failed { error: (*name).into() };
        swarm.models[0].servers.push(server);
        let mut model = swarms::model(name, name, 4, vec![]);
        model.repository = Some((*name).into());
        model.notes = vec![(*name).into()];
        let (subkey, note) = ((*name).to_owned(), (*name).to_owned());
        model.bad_records = vec![BadRecord { subkey, blocks: (*name).into(), note }];
        swarm.models.push(model);
        swarm.notes.push((*name).into());
    }
    swarm.models[0].servers.push(swarms::server(399, Some(&"long ".repeat(100)), 0, 80));
    swarm.bootstraps[1].error = Some(NAMES[0].into());
    node.crawled(swarm);
    let browser = driver.browser().await;
    browser.client.goto(&node.page()).await.unwrap();
    browser.timing("rows").await;
    // Everything there is to open.
    browser.run("document.querySelectorAll('h3 button[aria-expanded=false], .servers td button, .matrix summary').forEach(b => b.click())").await;
    browser.until("the details", "return document.querySelectorAll('.below').length > 20").await;
    let text = browser.run("return document.body.textContent").await;
    let text = text.as_str().unwrap();
    for name in NAMES {
        assert!(text.contains(name), "{name:?} is not shown");
    }
    let strange = "return document.querySelectorAll('.models img, .models script, .models style, .models iframe, body script').length";
    assert_eq!(browser.run(strange).await, 0);
    assert_eq!(browser.run("return String(window.hacked) + String({}.hacked)").await, "undefinedundefined");
    // No link leads anywhere but to this node.
    let links = "return [...document.querySelectorAll('a')].filter(a => a.origin !== location.origin).length";
    assert_eq!(browser.run(links).await, 0);
    // Nothing was asked of anybody else.
    let asked = "return performance.getEntriesByType('resource').filter(r => new URL(r.name).origin !== location.origin).map(r => r.name)";
    assert_eq!(browser.run(asked).await, serde_json::json!([]));
    browser.resize(390, 844, true).await;
    assert_eq!(browser.run("return document.documentElement.scrollWidth").await, 390);
    browser.picture("phone-hostile").await;
    // Nor would a script run that got in by another way.
    browser.run("const s = document.createElement('script'); try { s.text = 'window.hacked = 2'; document.body.append(s) } catch { }").await;
    assert_eq!(browser.run("return String(window.hacked)").await, "undefined");
    let complaints = browser.complaints().await;
    assert!(
        complaints.iter().all(|line| line.contains("Trusted") || line.contains("Content Security Policy")),
        "{complaints:?}"
    );
    browser.close().await;
}
