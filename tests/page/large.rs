//! A swarm of 5,000 servers and 100 models: the page stays usable.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    browser::Driver,
    node::Node,
    swarms::{self, peer},
};

/// For whatever a person does on the page to be seen.
const USABLE: Duration = Duration::from_secs(2);

pub(crate) async fn five_thousand_servers(driver: &Driver) {
    let node = Node::start(peer(5)).await;
    let swarm = swarms::large(100, 50);
    node.crawled(swarm.clone());
    let browser = driver.browser().await;
    browser.client.goto(&node.page()).await.unwrap();
    let paint = browser.timing("first-contentful-paint").await;
    let rows = browser.timing("rows").await;
    let elements = browser.run("return document.querySelectorAll('*').length").await;
    println!(
        "figure: 5,000 servers, 100 models: first paint {paint:.0} ms, swarm shown after {rows:.0} ms, {elements} elements"
    );
    assert!(Duration::from_secs_f64(rows / 1000.0) < USABLE, "{rows} ms");
    browser.picture("large").await;

    let took = |what: &'static str, since: Instant| {
        println!("figure: 5,000 servers: {what} took {} ms", since.elapsed().as_millis());
        assert!(since.elapsed() < USABLE, "{what} took {:?}", since.elapsed());
    };
    let since = Instant::now();
    browser.run("document.querySelectorAll('h3 button')[40].click()").await;
    browser.until("its rows", "return document.querySelectorAll('.servers tbody tr').length === 50").await;
    took("to open a model", since);

    let since = Instant::now();
    browser.run("const q = document.getElementById('query'); q.value = 'server 7 of 93'; q.dispatchEvent(new Event('input'))").await;
    browser.until("one", "return document.getElementById('found').textContent.startsWith('1 server ')").await;
    took("to find a server", since);
    browser.picture("large-search").await;

    let since = Instant::now();
    browser.run("const q = document.getElementById('query'); q.value = 'server'; q.dispatchEvent(new Event('input'))").await;
    browser
        .until("all", "return document.getElementById('found').textContent.startsWith('5,000 servers')")
        .await;
    took("to find all of them", since);

    // A crawl comes in which each server says something new.
    let mut next = swarm;
    for server in next.models.iter_mut().flat_map(|model| &mut model.servers) {
        server.info.throughput += 1.0;
    }
    next.models[0].servers[0].info.throughput = 123_456.0;
    node.crawled(next);
    browser
        .until("the news", "return document.querySelector('.servers .c3:not(th)').textContent === '123,456'")
        .await;
    let longest = browser
        .run("return new Promise(done => { new PerformanceObserver(l => done(Math.max(0, ...l.getEntries().map(e => e.duration)))).observe({ type: 'longtask', buffered: true }); setTimeout(() => done(0), 500) })")
        .await;
    println!("figure: 5,000 servers, the longest task of a new crawl took {longest} ms");

    let since = Instant::now();
    browser
        .run("const q = document.getElementById('query'); q.value = ''; q.dispatchEvent(new Event('input'))")
        .await;
    browser.until("the list", "return document.getElementById('found').textContent === ''").await;
    took("to close them again", since);
    let since = Instant::now();
    browser.run("window.scrollTo(0, document.body.scrollHeight); return new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))").await;
    took("to go to the end", since);
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.close().await;
}
