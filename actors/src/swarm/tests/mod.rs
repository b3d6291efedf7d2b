//! The whole branch on a simulated swarm, in virtual time: a month of weather and crashes.

mod announcers;
mod month;
mod process;
mod quiet;
mod storms;
mod surroundings;
