//! Looking at a file that the model server touches, or writes anew, while it is well.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::future::LocalBoxFuture;
use tokio::sync::Semaphore;

use super::check::{Check, CheckError, LARGEST_STATEMENT_BYTES, Statement};
use crate::clock::SharedClock;

/// Looks at one file.
pub(super) struct HeartbeatCheck {
    file: PathBuf,
    max_age: Duration,
    clock: SharedClock,
    /// One look at a time: on a disk that hangs, a thread stays with each.
    looking: Arc<Semaphore>,
}

impl HeartbeatCheck {
    pub(super) fn new(file: PathBuf, max_age: Duration, clock: SharedClock) -> Self {
        Self { file, max_age, clock, looking: Arc::new(Semaphore::new(1)) }
    }
}

impl Check for HeartbeatCheck {
    fn check(&self) -> LocalBoxFuture<'static, Result<Statement, CheckError>> {
        let (file, max_age, clock) = (self.file.clone(), self.max_age, self.clock.clone());
        let turn = self.looking.clone().try_acquire_owned();
        Box::pin(async move {
            let Ok(turn) = turn else { return Err(CheckError::Hanging) };
            let look = actix_rt::task::spawn_blocking(move || {
                let _turn = turn;
                look(&file, max_age, &clock)
            });
            look.await.unwrap_or_else(|error| Err(CheckError::Io(error.to_string())))
        })
    }
}

fn look(file: &Path, max_age: Duration, clock: &SharedClock) -> Result<Statement, CheckError> {
    // Opening a pipe would wait for its other end.
    if !fs::metadata(file).map_err(told)?.is_file() {
        return Err(CheckError::NotAFile);
    }
    let file = File::open(file).map_err(told)?;
    let touched = file.metadata().and_then(|metadata| metadata.modified()).map_err(told)?;
    let touched = touched.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = Duration::try_from_secs_f64(clock.now().as_unix()).unwrap_or_default();
    let (age, ahead) = (now.saturating_sub(touched), touched.saturating_sub(now));
    if age > max_age {
        return Err(CheckError::Stale { age, max_age });
    }
    if ahead > max_age {
        return Err(CheckError::Future(ahead));
    }
    let mut statement = Vec::new();
    file.take(LARGEST_STATEMENT_BYTES as u64 + 1).read_to_end(&mut statement).map_err(told)?;
    Ok(match statement.len() > LARGEST_STATEMENT_BYTES {
        true => Statement::TooLarge,
        false => Statement::Whole(statement),
    })
}

fn told(error: io::Error) -> CheckError {
    CheckError::Io(error.to_string())
}

#[cfg(test)]
mod tests {
    use hivemind_proto::time::DhtTime;

    use super::*;
    use crate::clock::TokioClock;

    const MAX_AGE: Duration = Duration::from_secs(30);
    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn clock() -> SharedClock {
        Arc::new(TokioClock::starting_at(DhtTime::since_epoch(NOW)))
    }

    fn touched(file: &Path, since_epoch: Duration) {
        File::options()
            .write(true)
            .open(file)
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH + since_epoch)
            .unwrap();
    }

    #[actix_rt::test]
    async fn a_heartbeat_is_well_while_it_is_young() {
        tokio::time::pause();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alive");
        let check = HeartbeatCheck::new(file.clone(), MAX_AGE, clock());
        assert!(matches!(check.check().await, Err(CheckError::Io(_))));
        fs::write(&file, r#"{"throughput": 1.0}"#).unwrap();
        let whole = Ok(Statement::Whole(fs::read(&file).unwrap()));
        let second = Duration::from_secs(1);
        for (at, expected) in [
            (NOW, whole.clone()),
            (NOW - MAX_AGE + second, whole.clone()),
            (NOW + MAX_AGE - second, whole.clone()),
            (NOW + 2 * MAX_AGE, Err(CheckError::Future(2 * MAX_AGE))),
            (NOW - 2 * MAX_AGE, Err(CheckError::Stale { age: 2 * MAX_AGE, max_age: MAX_AGE })),
        ] {
            touched(&file, at);
            assert_eq!(check.check().await, expected);
        }
        touched(&file, NOW);
        tokio::time::advance(MAX_AGE - second).await;
        assert_eq!(check.check().await, whole);
        tokio::time::advance(2 * second).await;
        assert!(matches!(check.check().await, Err(CheckError::Stale { .. })));
    }

    #[actix_rt::test]
    async fn what_is_no_file_or_too_large_harms_nobody() {
        let folder = tempfile::tempdir().unwrap();
        let check = HeartbeatCheck::new(folder.path().to_owned(), MAX_AGE, clock());
        assert_eq!(check.check().await, Err(CheckError::NotAFile));
        let file = folder.path().join("alive");
        File::create(&file).unwrap().set_len(1 << 40).unwrap();
        touched(&file, NOW);
        let check = HeartbeatCheck::new(file.clone(), MAX_AGE, clock());
        assert_eq!(check.check().await, Ok(Statement::TooLarge));
        fs::write(&file, "").unwrap();
        touched(&file, NOW);
        assert_eq!(check.check().await, Ok(Statement::Whole(Vec::new())));
    }

    #[actix_rt::test]
    async fn a_disk_that_hangs_holds_one_thread() {
        let check = HeartbeatCheck::new("/".into(), MAX_AGE, clock());
        let hanging = check.check();
        assert_eq!(check.check().await, Err(CheckError::Hanging));
        drop(hanging);
        assert_eq!(check.check().await, Err(CheckError::NotAFile));
    }
}
