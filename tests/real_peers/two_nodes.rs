//! Two nodes on one host, and two processes on one folder: nobody touches the files of another.

use std::{
    collections::BTreeMap,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::support::{
    deadline::{eventually, within},
    petald::{Config, Home, petald},
    shared,
};

const LIMIT: Duration = Duration::from_secs(30);

/// Every file below `folder`, by what shows that it was written: inode, size and time.
fn files(folder: &Path) -> BTreeMap<PathBuf, (u64, u64, i64)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(data) = path.metadata() else { continue };
        match data.is_dir() {
            true => found.extend(files(&path)),
            false => _ = found.insert(path, (data.ino(), data.size(), data.mtime_nsec() ^ data.mtime())),
        }
    }
    found
}

#[tokio::test]
async fn two_nodes_on_one_host_share_nothing() {
    let _machine = shared().await;
    let (one, other) = (Home::new(&Config::default()), Home::new(&Config::default()));
    let first = one.run().await;
    let second = other.run().await;
    assert_ne!(first.peer_id, second.peer_id);
    assert_ne!(first.addresses, second.addresses, "ports are 0 in both files");
    for node in [&first, &second] {
        eventually(LIMIT, "each is visible", async || match node.get("/readyz").await?.status {
            200 => Ok(()),
            status => Err(status.to_string()),
        })
        .await;
    }
    // Whatever a process has open for writing lies in its own folder.
    for (node, own, foreign) in [(&first, &one, &other), (&second, &other, &one)] {
        let open = std::fs::read_dir(format!("/proc/{}/fd", node.process_id())).unwrap();
        let open: Vec<_> = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok()).collect();
        assert!(open.iter().any(|path| path.starts_with(own.folder())), "{open:?}");
        assert!(!open.iter().any(|path| path.starts_with(foreign.folder())), "{open:?}");
    }
    // The end of one leaves the other's files as they are, and itself ready.
    second.terminate();
    assert_eq!(second.exit().await.code(), Some(0));
    assert_eq!(first.get("/readyz").await.unwrap().status, 200);
    assert!(
        one.folder().join("data/admin.addr").exists() && !other.folder().join("data/admin.addr").exists()
    );
}

#[tokio::test]
async fn a_second_start_on_a_folder_leaves_the_first_alone() {
    let _machine = shared().await;
    let home = Home::new(&Config::default());
    let mut first = home.run().await;
    let quiet = ["node_id", "identity", "lock", "admin.addr"];
    let of_start = |all: BTreeMap<PathBuf, _>| -> BTreeMap<PathBuf, _> {
        let kept = |path: &PathBuf| quiet.iter().any(|end| path.to_string_lossy().ends_with(end));
        all.into_iter().filter(|(path, _)| kept(path)).collect()
    };
    let before = of_start(files(home.folder()));
    assert_eq!(before.len(), quiet.len(), "{before:?}");
    for command in ["run", "check"] {
        let config = home.config();
        let line = [command, "--config", config.to_str().unwrap()];
        let output = within(LIMIT, "it ends", petald().args(line).output()).await.unwrap();
        let told =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(if command == "run" { 75 } else { 0 }), "{told}");
        assert!(told.contains(&format!("pid {}", first.process_id())), "who holds it: {told}");
    }
    assert_eq!(of_start(files(home.folder())), before, "files of the first");
    assert!(first.is_running());
    assert_eq!(first.get("/livez").await.unwrap().status, 200);
}
