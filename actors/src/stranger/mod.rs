//! What somebody does who comes from outside, under an identity that nobody knows: enter a swarm through others, search
//! its DHT, call its servers. The observer sends a stranger out to look for us, and the monitor one to look at everybody.

pub(crate) mod calls;
pub(crate) mod doors;
pub(crate) mod errand;
pub(crate) mod search;
