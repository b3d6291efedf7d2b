//! The observer on a simulated swarm in virtual time, and its strangers over real sockets.

mod sockets;
mod virtual_time;
