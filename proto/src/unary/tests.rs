//! Unary calls: their bytes, calls between two nodes, and peers that misbehave.

mod calls;
mod codec;
mod hostile;
mod limits;
mod node;
mod raw;
