//! A browser without a window: Debian's chromium, driven through its chromedriver.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use fantoccini::{Client, ClientBuilder, wd::WebDriverCompatibleCommand};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// From the driver's start to the port that it tells, and from there to an open browser.
const START_LIMIT: Duration = Duration::from_secs(60);
/// For anything that a page is asked.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Started as root, in a place without a network, and not to look for Google's hosts.
const ARGUMENTS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1280,900",
];

/// Where chromium and its driver are, if they are, or can be installed.
pub(crate) fn found_or_installed() -> Result<(), String> {
    let there = || {
        let works = |program: &str| {
            let mut command = std::process::Command::new(program);
            command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        works("chromedriver") && works("chromium")
    };
    if there() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        return Err("it needs chromium and chromedriver (Debian's chromium and chromium-driver)".into());
    }
    for words in [
        &["apt-get", "update", "-q"][..],
        &[
            "apt-get",
            "install",
            "-y",
            "-q",
            "--no-install-recommends",
            "chromium",
            "chromium-driver",
            "fonts-dejavu-core",
        ],
    ] {
        eprintln!("page: $ {}", words.join(" "));
        let mut command = std::process::Command::new(words[0]);
        command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        match command.output() {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                return Err(format!("it needs chromium, and {} failed: {said}", words.join(" ")));
            }
            Err(error) => return Err(format!("it needs chromium, and {}: {error}", words[0])),
        }
    }
    if there() { Ok(()) } else { Err("it needs chromium, and what was installed does not run".into()) }
}

/// The driver, until it is dropped.
pub(crate) struct Driver {
    address: String,
    _process: Child,
}

impl Driver {
    pub(crate) async fn start() -> Self {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.kill_on_drop(true).spawn().expect("chromedriver starts");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, port)) = line.split_once("successfully on port ") {
                    return port.trim_end_matches('.').to_owned();
                }
            }
            panic!("chromedriver ended");
        };
        let port = timeout(START_LIMIT, port).await.expect("chromedriver tells its port");
        // Whatever else it says must not fill the pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { address: format!("http://127.0.0.1:{port}"), _process: process }
    }

    /// A browser that knows nothing of any other.
    pub(crate) async fn browser(&self) -> Browser {
        let folder = tempfile::tempdir().unwrap();
        let profile = format!("--user-data-dir={}", folder.path().display());
        let arguments: Vec<&str> = ARGUMENTS.iter().copied().chain([profile.as_str()]).collect();
        let capabilities = json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!() };
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let connected = builder.capabilities(capabilities).connect(&self.address);
        let client = timeout(START_LIMIT, connected).await.expect("a browser in time").expect("a browser");
        Browser { client, _folder: folder }
    }
}

/// One browser with one page.
pub(crate) struct Browser {
    pub(crate) client: Client,
    _folder: TempDir,
}

/// A command of chromedriver's own.
#[derive(Debug)]
struct Own {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Own {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.body.to_string()))
    }
}

impl Browser {
    /// What a script gives back.
    pub(crate) async fn run(&self, script: &str) -> Value {
        let ran = timeout(ANSWER_LIMIT, self.client.execute(script, vec![])).await;
        ran.expect("an answer in time").unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Waits until a script gives back something true, and gives it back.
    pub(crate) async fn until(&self, what: &str, script: &str) -> Value {
        let mut last = Value::Null;
        let waiting = async {
            loop {
                last = self.run(script).await;
                if last.as_bool() != Some(false) && !last.is_null() && last != json!(0) && last != json!("") {
                    return last.clone();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match timeout(ANSWER_LIMIT, waiting).await {
            Ok(found) => found,
            Err(_) => panic!(
                "{what} did not come to be; on the page: {}",
                self.run("return document.body.innerText").await
            ),
        }
    }

    /// A command of Chromium's DevTools protocol.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.own("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    async fn own(&self, path: &'static str, body: Value) -> Value {
        let issued = timeout(ANSWER_LIMIT, self.client.issue_cmd(Own { path, body })).await;
        issued.expect("an answer in time").unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// What was written to the console since this was last asked, from warnings upwards.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.own("se/log", json!({ "type": "browser" })).await;
        let lines = log.as_array().cloned().unwrap_or_default().into_iter();
        lines
            .filter(|line| line["level"] == "SEVERE" || line["level"] == "WARNING")
            .map(|line| line["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// A window of this size; `phone` is one with a finger.
    pub(crate) async fn resize(&self, width: u32, height: u32, phone: bool) {
        let scale = if phone { 2 } else { 1 };
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// The colours that the system would have.
    pub(crate) async fn colours(&self, scheme: &str) {
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
    }

    /// Keeps a picture of the page as test output, and says where.
    pub(crate) async fn picture(&self, name: &str) {
        let file = pictures().join(format!("{name}.png"));
        std::fs::write(&file, self.client.screenshot().await.unwrap()).unwrap();
        println!("picture: {}", file.display());
    }

    /// Milliseconds from the page's beginning to what is named so: `first-paint`, or a mark of the page's own.
    pub(crate) async fn timing(&self, name: &str) -> f64 {
        let script = format!("return performance.getEntriesByName('{name}')[0]?.startTime ?? 0");
        self.until(name, &script).await.as_f64().unwrap()
    }

    pub(crate) async fn close(self) {
        self.client.close().await.unwrap();
    }
}

/// Where pictures are kept.
fn pictures() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
