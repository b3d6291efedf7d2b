//! What stands on the page, how soon, and how it looks.

use serde_json::json;

use crate::{
    browser::{Browser, Driver},
    node::Node,
    swarms::{self, peer},
};

/// The operator's contract: on loopback the page is there at once.
const FIRST_PAINT_MILLISECONDS: f64 = 300.0;

/// Attempts, of which the best one counts: whatever is beyond it, other programs on the machine have taken.
const ATTEMPTS: usize = 5;

/// A click at one of the servers.
const OPEN_ONE: &str = "[...document.querySelectorAll('.servers td button')].find(b => b.textContent.includes('Quiet Corner')).click()";

/// A node that has seen the small swarm for a while, and is a part of it.
async fn node() -> Node {
    let node = Node::start(peer(5)).await;
    let swarm = swarms::small();
    // One was away for some hours, another comes and goes, and for a while nobody looked.
    node.remembers(&swarm, 22, |server, minute| match server {
        3 => (300..560).contains(&minute),
        6 => minute % 90 < 12,
        _ => (700..760).contains(&minute) && server > 10,
    });
    node.crawled(swarm);
    node
}

async fn open(driver: &Driver, node: &Node) -> Browser {
    let browser = driver.browser().await;
    browser.client.goto(&node.page()).await.unwrap();
    browser.timing("rows").await;
    browser
}

/// Every server has its row, with what it says; and more below it.
pub(crate) async fn rows_and_details(driver: &Driver) {
    let node = node().await;
    let browser = open(driver, &node).await;
    let models =
        browser.run("return [...document.querySelectorAll('.model h3 .name')].map(e => e.textContent)").await;
    assert_eq!(
        models,
        json!(["petals-team/StableBeluga2", "meta-llama/Meta-Llama-3.1-8B", "bigscience/bloom"])
    );
    let rows = browser.run("return document.querySelectorAll('.servers tbody tr').length").await;
    assert_eq!(rows, 12);
    let row = |peer: String| {
        format!(
            "return [...document.querySelectorAll('.servers tbody tr')].find(r => r.querySelector('code').title === '{peer}').innerText.split(/\\s*[\\n\\t]\\s*/)"
        )
    };
    let mine = browser.run(&row(peer(5).to_string())).await.to_string();
    for part in ["online", "this one is mine", "this node", "52:80", "17.5", "2.3.0.dev2", "direct", "86 ms"]
    {
        assert!(mine.contains(part), "{part} is not in {mine}");
    }
    // Tokens for a block: 6 × 8192 for 28 blocks of keys and values.
    assert!(mine.contains("877"), "{mine}");
    for (number, parts) in [
        (7, ["joining", "not asked"]),
        (8, ["unreachable", "no answer within 5 s"]),
        (9, ["offline", "gone fishing"]),
    ] {
        let row = browser.run(&row(peer(number).to_string())).await.to_string();
        assert!(parts.iter().all(|part| row.contains(part)), "{parts:?} are not in {row}");
    }
    let covers = browser
        .run("return [...document.querySelectorAll('.strip')].map(e => e.getAttribute('aria-label'))")
        .await;
    assert_eq!(covers[0], "All 80 blocks are served");
    assert_eq!(covers[1], "Blocks without a server: 14–17");
    assert_eq!(covers[2], "Blocks without a server: 0–69");
    let text = browser.run("return document.body.innerText").await;
    let text = text.as_str().unwrap();
    for part in
        ["Seen ", "connection refused", "throughput is no finite number", "Not reachable", "Bootstraps"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    // The history comes after the rows.
    browser.until("a day", "return document.querySelectorAll('.servers svg.day').length >= 10").await;

    browser.run(OPEN_ONE).await;
    browser.until("its history", "return document.querySelector('.below .changes li')").await;
    let below = browser.run("return document.querySelector('.below').innerText").await;
    let below = below.as_str().unwrap();
    for part in [
        &peer(3).to_string(),
        "24 to 51 of 80",
        "bfloat16, nf4",
        "/ip4/203.0.113.3/tcp/31337",
        "30d",
        "missing",
        "CSV",
    ] {
        assert!(below.contains(part), "{part} is not in {below}");
    }
    // A matrix of who needs how long to whom.
    browser.run("document.querySelector('.matrix summary').click()").await;
    browser.until("the matrix", "return document.querySelectorAll('.grid tbody tr').length === 7").await;
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.close().await;
}

/// From the beginning of the navigation to the first paint, as the browser counts it, and to the rows.
pub(crate) async fn first_paint(driver: &Driver) {
    let node = node().await;
    let (mut paints, mut rows) = (Vec::new(), Vec::new());
    for _ in 0..ATTEMPTS {
        // Nothing is kept from one to the next.
        let browser = open(driver, &node).await;
        paints.push(browser.timing("first-contentful-paint").await);
        rows.push(browser.timing("rows").await);
        browser.close().await;
    }
    paints.sort_by(f64::total_cmp);
    rows.sort_by(f64::total_cmp);
    let (paint, row) = (paints[0], rows[0]);
    println!(
        "figure: first contentful paint {paint:.0} ms (of {paints:.0?}), rows {row:.0} ms (of {rows:.0?})"
    );
    assert!(paint < FIRST_PAINT_MILLISECONDS, "{paint} ms");
}

/// The page by day and by night, and on a phone.
pub(crate) async fn pictures(driver: &Driver) {
    let node = node().await;
    let browser = open(driver, &node).await;
    browser.until("a day", "return document.querySelectorAll('.servers svg.day').length >= 10").await;
    browser.colours("light").await;
    browser.picture("desktop-light").await;
    browser.run(OPEN_ONE).await;
    browser.until("its history", "return document.querySelector('.below .changes li')").await;
    browser.run("document.querySelector('.matrix summary').click()").await;
    browser.resize(1280, 2000, false).await;
    browser.picture("desktop-light-details").await;
    browser.colours("dark").await;
    browser.picture("desktop-dark-details").await;
    browser.run("document.querySelectorAll('.below, .grid').length && document.querySelector('.servers td button[aria-expanded=true]').click()").await;
    browser.resize(390, 844, true).await;
    browser.picture("phone-dark").await;
    browser.colours("light").await;
    browser.resize(390, 2200, true).await;
    browser.picture("phone-light-long").await;
    let wide = browser.run("return document.documentElement.scrollWidth").await;
    assert_eq!(wide, 390, "nothing is wider than a phone");
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.close().await;
}

/// What a reader of the screen and a keyboard find.
pub(crate) async fn a_screen_reader(driver: &Driver) {
    let node = node().await;
    let browser = open(driver, &node).await;
    // As Chromium's own accessibility tree has it.
    let tree = browser.devtools("Accessibility.getFullAXTree", json!({})).await;
    let nodes = tree["nodes"].as_array().unwrap();
    let roles: Vec<(&str, &str)> = nodes
        .iter()
        .filter(|node| node["ignored"] != true)
        .map(|node| {
            (node["role"]["value"].as_str().unwrap_or(""), node["name"]["value"].as_str().unwrap_or(""))
        })
        .collect();
    let has = |role: &str, name: &str| roles.iter().any(|(one, other)| *one == role && other.contains(name));
    for (role, name) in [
        ("banner", ""),
        ("main", ""),
        ("search", ""),
        ("contentinfo", ""),
        ("heading", "petald"),
        ("heading", "petals-team/StableBeluga2"),
        ("table", "Servers of petals-team/StableBeluga2"),
        ("columnheader", "Throughput"),
        ("searchbox", "Find a server"),
        ("button", "this one is mine"),
        ("status", ""),
    ] {
        assert!(has(role, name), "no {role} {name:?}");
    }
    let rows = roles.iter().filter(|(role, _)| *role == "row").count();
    assert!(rows >= 12, "{rows} rows");
    // The same on a phone, where a table looks like none.
    browser.resize(390, 844, true).await;
    let tree = browser.devtools("Accessibility.getFullAXTree", json!({})).await;
    let cells =
        tree["nodes"].as_array().unwrap().iter().filter(|node| node["role"]["value"] == "cell").count();
    assert!(cells >= 12 * 8, "{cells} cells");
    // Whatever can be clicked can be reached by Tab, and shows it.
    let unreachable = "return [...document.querySelectorAll('button, a, input, summary')].filter(e => e.tabIndex < 0).length";
    assert_eq!(browser.run(unreachable).await, 0);
    let contrast = browser.run(CONTRAST).await;
    let poor: Vec<_> = contrast.as_array().unwrap().iter().collect();
    assert!(poor.is_empty(), "{poor:#?}");
    browser.colours("dark").await;
    let contrast = browser.run(CONTRAST).await;
    assert_eq!(contrast, json!([]));
    browser.close().await;
}

/// Texts whose colour is too near to what is behind them: less than 4.5 to 1, as WCAG 2.2 wants it (1.4.3).
const CONTRAST: &str = r#"
const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
const parts = (colour) => {
  canvas.clearRect(0, 0, 1, 1);
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  return [...canvas.getImageData(0, 0, 1, 1).data];
};
const luminance = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const ground = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parts(getComputedStyle(at).backgroundColor);
    if (colour[3] > 250) return colour;
  }
  return [255, 255, 255];
};
const poor = new Set();
for (const element of document.querySelectorAll("body *")) {
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!own || !element.checkVisibility() || element.closest(".unseen, .skip, noscript, svg")) continue;
  const [one, other] = [luminance(parts(getComputedStyle(element).color)), luminance(ground(element))].sort((a, b) => b - a);
  const ratio = (one + 0.05) / (other + 0.05);
  if (ratio < 4.5) poor.add(`${element.className || element.tagName}: ${ratio.toFixed(2)} “${element.textContent.slice(0, 20)}”`);
}
return [...poor];
"#;
