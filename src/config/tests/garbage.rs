//! Whatever a config file holds, and whatever is set: a config, or what is wrong with it.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::load;
use crate::config::{ConfigError, DEFAULTS};

/// Files, and keys to be set.
fn judge(text: &str, key: &str, value: &str) {
    if let Err(ConfigError::Wrong { problems, .. }) = load(text, &[], &[(key, value)]) {
        assert!(!problems.is_empty());
        for problem in problems {
            assert!(!problem.to_string().is_empty());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_comes(bytes in vec(any::<u8>(), 0..300), value in ".{0,30}") {
        judge(&String::from_utf8_lossy(&bytes), "network.listen", &value);
    }

    #[test]
    fn the_manual_spoilt(changes in vec((any::<Index>(), any::<u8>()), 0..6), key in "[a-z._]{0,20}", value in ".{0,30}") {
        let mut bytes = DEFAULTS.as_bytes().to_vec();
        for (place, byte) in changes {
            *place.get_mut(&mut bytes) = byte;
        }
        judge(&String::from_utf8_lossy(&bytes), &key, &value);
    }
}
