//! Admits connections, and chooses which to close to make room.
//!
//! Each connection has a seat in one of four rooms. The *main* room has `connections_max` seats. When they
//! are taken, the connection that has been idle longest is closed for the new one: first those that never
//! sent a request, then the others, then those with a stalled reader, and last those of trusted proxies. Only
//! when all are busy does a connection wait on the *doorstep* until it has said what it wants (`doorstep`):
//! probes and metrics get one of the few *spare* seats, everything else gets 503. One more room belongs to
//! the operations listener (`ops_addr`). The seats of one address in all the other rooms together are
//! limited.
//!
//! The crowd also tracks how many bytes of answers each connection holds. Bytes beyond a connection's own
//! allowance count against a shared one; when that is used up, the connections that have been over theirs for
//! longest are closed.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    auth::client_of,
    limits::{
        CLOSING_MAX, DOORSTEP_MAX, HELD_BYTES_ALLOWED, HELD_BYTES_BEYOND_MAX, Limits, OPS_CONNECTIONS_MAX,
        SEAT_TIME, SPARE_CONNECTIONS_MAX,
    },
};
use crate::metrics::{ConnectionCut, ConnectionRefused, Metrics};

/// Candidates found by one scan of all connections, to be closed one after the other when room is needed.
const CANDIDATES: usize = 64;
/// How long to wait before scanning for idle connections again when none was found: a scan costs microseconds
/// for each thousand.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Minimum age at which a connection that never sent a request is closed for another: its request may be in
/// flight. Otherwise, while all others are busy, newcomers would only close each other.
const YOUNG: Duration = Duration::from_millis(10);

/// A request was received or is being answered.
const BUSY: u64 = 0;
/// It was told to end: no request begins on it any more.
const CUT: u64 = u64::MAX;

/// A room of seats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    Main = 0,
    /// For probes, when the main room is full of busy connections.
    Spare = 1,
    /// Of the operations listener.
    Ops = 2,
    /// It has not yet said what it wants, and all others are busy.
    Doorstep = 3,
}

/// All connections of a server.
pub struct Crowd {
    /// Seats of each room.
    seats: [usize; 4],
    /// Seats of one address; 0 is no limit.
    per_address: usize,
    /// [`YOUNG`], in microseconds.
    young: u64,
    began: Instant,
    seated: Mutex<Seated>,
    /// Open connections, including those told to end.
    open: AtomicUsize,
    ended: Notify,
    beyond: Arc<Beyond>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Seated {
    seats: HashMap<u64, Arc<Seat>>,
    next: u64,
    counts: [usize; 4],
    addresses: HashMap<u64, usize>,
    /// Connections of each room that can be closed, the next one first.
    idle: [VecDeque<Candidate>; 4],
    looked: [Option<Instant>; 4],
}

/// A connection that can be closed for another one. Ordered: the first is closed first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    is_proxy: bool,
    /// It is not idle, but its reader is stalled.
    is_stalled: bool,
    has_asked: bool,
    since: u64,
    id: u64,
}

/// One connection's place.
pub struct Seat {
    id: u64,
    room: Room,
    /// It came from the doorstep, and has a spare seat now. Changed under the lock of `seated`.
    is_spare: AtomicBool,
    client: u64,
    is_proxy: bool,
    began: Instant,
    /// Microseconds since the crowd's `began`, from 1, or [`BUSY`], or [`CUT`].
    idle_since: AtomicU64,
    /// When a write began to wait for its reader; 0 when none waits.
    stalled_since: AtomicU64,
    has_asked: AtomicBool,
    held: AtomicUsize,
    beyond: Arc<Beyond>,
    cut: Notify,
}

/// Bytes held beyond the allowances, by all connections.
struct Beyond {
    bytes: Mutex<BeyondBytes>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct BeyondBytes {
    total: usize,
    /// Bytes of connections that were told to end but have not yet.
    ending: usize,
    holders: HashMap<u64, Holder>,
    /// Holders that were not told to end, those over their allowance for longest first.
    order: BTreeMap<u64, u64>,
    next: u64,
}

/// A connection that holds more than its allowance.
struct Holder {
    seat: Arc<Seat>,
    bytes: usize,
    order: u64,
    is_ending: bool,
}

/// Why a connection was refused.
pub type Refusal = ConnectionRefused;

impl Crowd {
    pub fn new(limits: &Limits, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            seats: [limits.connections_max, SPARE_CONNECTIONS_MAX, OPS_CONNECTIONS_MAX, DOORSTEP_MAX],
            per_address: limits.connections_per_address,
            young: u64::try_from(YOUNG.as_micros()).expect("it is short"),
            began: Instant::now(),
            seated: Mutex::default(),
            open: AtomicUsize::new(0),
            ended: Notify::new(),
            beyond: Arc::new(Beyond { bytes: Mutex::default(), metrics: Arc::clone(&metrics) }),
            metrics,
        })
    }

    /// Gives a new connection a seat, if need be that of an idle one. O(1), except for one scan of all
    /// connections per few dozen evictions.
    ///
    /// # Errors
    /// Why there is none.
    pub fn seat(self: &Arc<Self>, peer: IpAddr, is_proxy: bool, is_ops: bool) -> Result<Guest, Refusal> {
        let client = client_of(peer);
        let mut seated = self.seated.lock();
        let rooms = if is_ops { &[Room::Ops][..] } else { &[Room::Main, Room::Doorstep] };
        let has_limit = !is_ops && !is_proxy && self.per_address != 0;
        if has_limit && seated.addresses.get(&client).is_some_and(|count| self.per_address <= *count) {
            return Err(Refusal::Address);
        }
        // Connections told to end hold their descriptors for a moment longer.
        if self.seats.iter().sum::<usize>() + CLOSING_MAX <= self.open.load(Ordering::Acquire) {
            return Err(Refusal::Busy);
        }
        let room = rooms.iter().copied().find(|room| {
            let position = *room as usize;
            seated.counts[position] < self.seats[position] || self.close_idle(&mut seated, *room)
        });
        let room = room.ok_or(Refusal::Busy)?;
        let id = seated.next;
        seated.next += 1;
        let seat = Arc::new(Seat {
            id,
            room,
            is_spare: AtomicBool::new(false),
            client,
            is_proxy,
            began: self.began,
            idle_since: AtomicU64::new(now(self.began)),
            stalled_since: AtomicU64::new(0),
            has_asked: AtomicBool::new(false),
            held: AtomicUsize::new(0),
            beyond: Arc::clone(&self.beyond),
            cut: Notify::new(),
        });
        seated.counts[room as usize] += 1;
        if room != Room::Ops {
            *seated.addresses.entry(client).or_default() += 1;
        }
        seated.seats.insert(id, Arc::clone(&seat));
        self.open.fetch_add(1, Ordering::AcqRel);
        Ok(Guest { crowd: Arc::clone(self), seat })
    }

    /// Gives a new connection a seat as [`Crowd::seat`] does, but waits for one up to [`SEAT_TIME`]: refusing
    /// at once would turn a probe away whenever it comes in the same moment as many others.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn seat_soon(
        self: &Arc<Self>,
        peer: IpAddr,
        is_proxy: bool,
        is_ops: bool,
    ) -> Result<Guest, Refusal> {
        let begin = Instant::now();
        loop {
            let ended = self.ended.notified();
            match self.seat(peer, is_proxy, is_ops) {
                Err(Refusal::Busy) if begin.elapsed() < SEAT_TIME => {
                    _ = tokio::time::timeout(LOOK_AGAIN, ended).await;
                }
                seated => return seated,
            }
        }
    }

    /// Gives a probe on the doorstep a spare seat, if there is one. Returns false when there is none, or when
    /// the connection was told to end.
    pub fn seat_probe(&self, seat: &Seat) -> bool {
        let mut seated = self.seated.lock();
        let spare = Room::Spare as usize;
        let has_room = seated.counts[spare] < self.seats[spare] || self.close_idle(&mut seated, Room::Spare);
        if !has_room || !seated.seats.contains_key(&seat.id) {
            return false;
        }
        seated.counts[Room::Doorstep as usize] -= 1;
        seated.counts[spare] += 1;
        seat.is_spare.store(true, Ordering::Relaxed);
        true
    }

    /// Closes the connection of a room that has been idle longest. Returns false when none is idle.
    fn close_idle(&self, seated: &mut Seated, room: Room) -> bool {
        let position = room as usize;
        for is_second in [false, true] {
            while let Some(candidate) = seated.idle[position].pop_front() {
                let seat =
                    seated.seats.get(&candidate.id).filter(|seat| seat.cut_if_still(candidate)).cloned();
                if let Some(seat) = seat {
                    seated.remove(&seat);
                    self.metrics.http.cut(if candidate.is_stalled {
                        ConnectionCut::SlowReader
                    } else {
                        ConnectionCut::Idle
                    });
                    return true;
                }
            }
            let looked_lately = seated.looked[position].is_some_and(|looked| looked.elapsed() < LOOK_AGAIN);
            if is_second || looked_lately {
                return false;
            }
            let found = seated.look_for_idle(room, now(self.began).saturating_sub(self.young));
            seated.looked[position] = found.is_empty().then(Instant::now);
            seated.idle[position] = found;
        }
        false
    }

    /// Connections that are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Waits until none is open.
    pub async fn wait_until_empty(&self) {
        loop {
            let ended = self.ended.notified();
            if self.open() == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// Microseconds since a moment, never 0 and never [`CUT`].
fn now(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_micros()).unwrap_or(CUT - 1).clamp(1, CUT - 1)
}

impl Seated {
    fn remove(&mut self, seat: &Seat) {
        if self.seats.remove(&seat.id).is_none() {
            return;
        }
        self.counts[seat.room() as usize] -= 1;
        if seat.room != Room::Ops
            && let Some(count) = self.addresses.get_mut(&seat.client)
        {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&seat.client);
            }
        }
    }

    /// The next connections to close, none of them silent since later than `old`. O(connections).
    fn look_for_idle(&self, room: Room, old: u64) -> VecDeque<Candidate> {
        let in_room = self.seats.values().filter(|seat| seat.room() == room);
        let candidates = in_room.filter_map(|seat| seat.candidate());
        let mut found: Vec<Candidate> =
            candidates.filter(|candidate| candidate.has_asked || candidate.since <= old).collect();
        if CANDIDATES < found.len() {
            found.select_nth_unstable(CANDIDATES);
            found.truncate(CANDIDATES);
        }
        found.sort_unstable();
        found.into()
    }
}

/// An open connection.
pub struct Guest {
    crowd: Arc<Crowd>,
    seat: Arc<Seat>,
}

impl Guest {
    pub fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.crowd.seated.lock().remove(&self.seat);
        self.crowd.open.fetch_sub(1, Ordering::AcqRel);
        self.crowd.ended.notify_waiters();
    }
}

impl Seat {
    pub fn room(&self) -> Room {
        if self.is_spare() { Room::Spare } else { self.room }
    }

    /// Whether this is a spare seat, which answers one request.
    pub fn is_spare(&self) -> bool {
        self.is_spare.load(Ordering::Relaxed)
    }

    /// Notes a received request. Returns false when the connection was told to end before that.
    pub fn begin(&self) -> bool {
        self.has_asked.store(true, Ordering::Relaxed);
        let begun = self
            .idle_since
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |since| (since != CUT).then_some(BUSY));
        begun.is_ok()
    }

    /// Notes that the request was answered.
    pub fn end(&self) {
        let idle = now(self.began);
        _ = self.idle_since.compare_exchange(BUSY, idle, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Notes that an answer waits for its reader.
    pub fn stall(&self) {
        self.stalled_since.store(now(self.began), Ordering::Relaxed);
    }

    /// Notes that the reader made progress.
    pub fn flow(&self) {
        self.stalled_since.store(0, Ordering::Relaxed);
    }

    /// The connection as a candidate to close, if it is one.
    fn candidate(&self) -> Option<Candidate> {
        let (idle, stalled) =
            (self.idle_since.load(Ordering::Relaxed), self.stalled_since.load(Ordering::Relaxed));
        let (is_stalled, since) = match (idle, stalled) {
            (CUT, _) | (BUSY, 0) => return None,
            (BUSY, stalled) => (true, stalled),
            (idle, _) => (false, idle),
        };
        let has_asked = self.has_asked.load(Ordering::Relaxed);
        Some(Candidate { is_proxy: self.is_proxy, is_stalled, has_asked, since, id: self.id })
    }

    /// Tells it to end, if its state is unchanged. A request received since then is answered.
    fn cut_if_still(&self, candidate: Candidate) -> bool {
        let from = if candidate.is_stalled { BUSY } else { candidate.since };
        let is_stalled_still =
            !candidate.is_stalled || self.stalled_since.load(Ordering::Relaxed) == candidate.since;
        let is_cut = is_stalled_still
            && self.idle_since.compare_exchange(from, CUT, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if is_cut {
            self.cut.notify_one();
        }
        is_cut
    }

    fn cut_at_once(&self) {
        self.idle_since.store(CUT, Ordering::Release);
        self.cut.notify_one();
    }

    /// Waits until the connection is told to end.
    pub async fn is_cut(&self) {
        self.cut.notified().await;
    }

    /// Notes bytes of an answer handed to the connection.
    pub fn hold(self: &Arc<Self>, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let before = self.held.fetch_add(bytes, Ordering::AcqRel);
        self.beyond.metrics.http.answer_bytes_held.increment(bytes as f64);
        let more = beyond_allowance(before + bytes) - beyond_allowance(before);
        if more != 0 {
            self.beyond.add(self, more);
        }
    }

    /// Notes that they were sent or dropped.
    pub fn release(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let before = self.held.fetch_sub(bytes, Ordering::AcqRel);
        self.beyond.metrics.http.answer_bytes_held.decrement(bytes as f64);
        let less = beyond_allowance(before) - beyond_allowance(before - bytes);
        if less != 0 {
            self.beyond.take(self.id, less);
        }
    }
}

fn beyond_allowance(bytes: usize) -> usize {
    bytes.saturating_sub(HELD_BYTES_ALLOWED)
}

impl Beyond {
    fn add(&self, seat: &Arc<Seat>, bytes: usize) {
        let mut state = self.bytes.lock();
        let BeyondBytes { total, ending, holders, order, next } = &mut *state;
        *total += bytes;
        let holder = holders.entry(seat.id).or_insert_with(|| {
            let place = *next;
            *next += 1;
            order.insert(place, seat.id);
            Holder { seat: Arc::clone(seat), bytes: 0, order: place, is_ending: false }
        });
        holder.bytes += bytes;
        if holder.is_ending {
            *ending += bytes;
        }
        while HELD_BYTES_BEYOND_MAX < *total - *ending {
            let Some((_, slowest)) = order.pop_first() else { break };
            let slowest = holders.get_mut(&slowest).expect("every id in the order has a holder");
            slowest.is_ending = true;
            *ending += slowest.bytes;
            slowest.seat.cut_at_once();
            self.metrics.http.cut(ConnectionCut::SlowReader);
        }
    }

    fn take(&self, id: u64, bytes: usize) {
        let mut state = self.bytes.lock();
        let BeyondBytes { total, ending, holders, order, .. } = &mut *state;
        let holder = holders.get_mut(&id).expect("bytes are released by their holder");
        *total -= bytes;
        holder.bytes -= bytes;
        if holder.is_ending {
            *ending -= bytes;
        }
        if holder.bytes == 0 {
            order.remove(&holder.order);
            holders.remove(&id);
        }
    }
}

/// A seat in a crowd of its own, for tests.
#[cfg(test)]
pub fn a_seat() -> Arc<Seat> {
    let crowd = Crowd::new(&Limits::default(), Metrics::new(&[]));
    let guest = crowd
        .seat(IpAddr::from([127, 0, 0, 1]), false, false)
        .unwrap_or_else(|_| unreachable!("there is room"));
    Arc::clone(guest.seat())
}

#[cfg(test)]
#[path = "crowd_test.rs"]
mod tests;
