//! The state of one substream's handshake, in both directions.

use std::{mem, task::Waker};

use super::{
    frame::{HEADER, Kind, Progress, progress, translate},
    to_inside, to_wire,
};

/// Which side of the handshake we are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// We opened the substream, and propose.
    Dialer,
    /// The remote opened it, and we answer.
    Listener,
}

/// What the next byte in one direction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// The beginning or the middle of a handshake frame.
    Frames,
    /// A proposal went by and has not been answered.
    ///
    /// Dialer, sending: what is written now is the data of a lazy negotiation; if `na` is read
    /// first, the next proposal follows. Listener, receiving: our own answer decides whether the
    /// next byte is data or a frame, so nothing is read before it is known.
    Undecided,
    /// Application data.
    Raw,
}

/// Bytes waiting to be handed on. Bounded by what the stock code lets pile up: it reads and answers
/// one frame at a time, and a frame, or the data that goes with it, has 16 KiB at most.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) bytes: Vec<u8>,
    taken: usize,
}

impl Queue {
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }

    pub(super) fn advance(&mut self, count: usize) {
        self.taken += count;
        if self.is_empty() {
            self.bytes.clear();
            self.taken = 0;
        }
    }
}

pub(super) struct Negotiation {
    pub(super) role: Role,
    /// Remote to us: the wire frame that is being collected, and what is translated already.
    pub(super) rx: Flow,
    pub(super) rx_frame: Vec<u8>,
    pub(super) rx_queue: Queue,
    /// Us to remote: the inside frame that is being collected, and what is translated already.
    pub(super) tx: Flow,
    pub(super) tx_frame: Vec<u8>,
    pub(super) tx_queue: Queue,
    /// Our header was sent before: the one that comes next is dropped.
    header_sent: bool,
    /// Whether our header was held back once.
    pub(super) header_waited: bool,
    /// Whether our confirmation may be held back was asked, and it is held back now.
    pub(super) confirmation_asked: bool,
    pub(super) confirmation_waits: bool,
    /// A reader that came while `rx` was undecided.
    pub(super) reader: Option<Waker>,
}

impl Negotiation {
    pub(super) fn new(role: Role) -> Self {
        Self {
            role,
            rx: Flow::Frames,
            rx_frame: Vec::new(),
            rx_queue: Queue::default(),
            tx: Flow::Frames,
            tx_frame: Vec::new(),
            tx_queue: Queue::default(),
            header_sent: false,
            header_waited: false,
            confirmation_asked: false,
            confirmation_waits: false,
            reader: None,
        }
    }

    /// A listener that has accepted a proposal, and has not sent its `confirmation`.
    pub(super) fn accepted(confirmation: Vec<u8>) -> Self {
        let tx_queue = Queue { bytes: confirmation, taken: 0 };
        Self {
            rx: Flow::Raw,
            tx: Flow::Raw,
            tx_queue,
            confirmation_asked: true,
            confirmation_waits: true,
            ..Self::new(Role::Listener)
        }
    }

    /// A listener whose first frames were `read` before.
    pub(super) fn resumed(mut read: &[u8], header_sent: bool) -> Self {
        let mut negotiation = Self { header_sent, ..Self::new(Role::Listener) };
        while negotiation.rx == Flow::Frames {
            match progress(&negotiation.rx_frame) {
                Progress::Need(_) if read.is_empty() => break,
                Progress::Need(missing) => {
                    let (part, rest) = read.split_at(read.len().min(missing));
                    negotiation.rx_frame.extend_from_slice(part);
                    read = rest;
                }
                Progress::Done(head) => negotiation.on_received(head),
                Progress::Bad => negotiation.give_up_receiving(),
            }
        }
        negotiation.rx_queue.bytes.extend_from_slice(read);
        negotiation
    }

    pub(super) fn is_over(&self) -> bool {
        let decided = self.rx == Flow::Raw && self.tx == Flow::Raw && !self.confirmation_waits;
        decided && self.rx_queue.is_empty() && self.tx_queue.is_empty()
    }

    /// Whether a listener's header is all that is to be sent, and the next frame is still to come.
    pub(super) fn header_may_wait(&self) -> bool {
        let only_header = self.tx == Flow::Frames && !self.tx_queue.is_empty();
        let nothing_read = self.rx == Flow::Frames && self.rx_queue.is_empty();
        self.role == Role::Listener && only_header && nothing_read && !self.header_waited
    }

    /// Whether a listener's confirmation is all that is to be sent, and data is to come next.
    pub(super) fn confirmation_may_wait(&self) -> bool {
        let only_confirmation = self.tx == Flow::Raw && !self.tx_queue.is_empty();
        let nothing_read = self.rx == Flow::Raw && self.rx_queue.is_empty();
        self.role == Role::Listener && only_confirmation && nothing_read && !self.confirmation_asked
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        let queues = self.rx_queue.bytes.len() + self.tx_queue.bytes.len();
        self.rx_frame.len() + self.tx_frame.len() + queues
    }

    pub(super) fn set_rx(&mut self, flow: Flow) {
        self.rx = flow;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// A whole frame came from the remote; its body starts at `head`.
    pub(super) fn on_received(&mut self, head: usize) {
        let frame = mem::take(&mut self.rx_frame);
        let kind = translate(&frame[head..], to_inside, &mut self.rx_queue.bytes);
        match (self.role, kind) {
            (Role::Listener, Kind::Name) => self.rx = Flow::Undecided,
            (Role::Dialer, Kind::Name) => {
                self.rx = Flow::Raw;
                self.tx = Flow::Raw;
            }
            (Role::Dialer, Kind::NotAvailable) if self.tx == Flow::Undecided => self.tx = Flow::Frames,
            _ => {}
        }
    }

    /// Our side wrote a whole frame; its body starts at `head`.
    fn on_sent(&mut self, head: usize) {
        let frame = mem::take(&mut self.tx_frame);
        if frame[head..] == *HEADER && mem::take(&mut self.header_sent) {
            return;
        }
        let kind = translate(&frame[head..], to_wire, &mut self.tx_queue.bytes);
        match (self.role, kind) {
            (Role::Dialer, Kind::Name) => self.tx = Flow::Undecided,
            (Role::Listener, Kind::Name) => {
                self.tx = Flow::Raw;
                self.set_rx(Flow::Raw);
            }
            (Role::Listener, Kind::NotAvailable) => self.set_rx(Flow::Frames),
            _ => {}
        }
    }

    /// Takes handshake bytes from `data`, but none beyond the frame that ends the handshake.
    pub(super) fn take(&mut self, data: &[u8]) -> usize {
        let mut taken = 0;
        while self.tx == Flow::Frames {
            match progress(&self.tx_frame) {
                Progress::Need(_) if taken == data.len() => break,
                Progress::Need(missing) => {
                    let part = &data[taken..data.len().min(taken + missing)];
                    self.tx_frame.extend_from_slice(part);
                    taken += part.len();
                }
                Progress::Done(head) => self.on_sent(head),
                Progress::Bad => self.give_up_sending(),
            }
        }
        taken
    }

    /// From now on everything that we send goes through as it is, the part of a frame included.
    pub(super) fn give_up_sending(&mut self) {
        self.tx = Flow::Raw;
        self.tx_queue.bytes.append(&mut self.tx_frame);
    }

    /// From now on everything that comes goes through as it is, the part of a frame included.
    pub(super) fn give_up_receiving(&mut self) {
        self.set_rx(Flow::Raw);
        self.rx_queue.bytes.append(&mut self.rx_frame);
    }
}
