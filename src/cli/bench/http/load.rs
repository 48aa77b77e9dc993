//! The load generator.
//!
//! *Closed loop*: each connection sends its next request when it has its response. That finds the peak, but
//! hides stalls: while the server stalls, nothing is sent. *Open loop*: requests have intended send times,
//! drawn from a Poisson process independent of the server; a request that is due waits for a free connection,
//! and its latency counts from its intended send time. So a stall counts against every request that was due
//! meanwhile (correction for coordinated omission).
//!
//! Threads share nothing: each has its share of the connections and of the rate, a single-threaded runtime
//! and its own histograms. The runtime's timers are too coarse (1 ms), so an open loop polls the clock
//! between socket polls, which keeps a core busy.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io,
    net::SocketAddr,
    rc::Rc,
    task::{Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use rand_pcg::{Pcg64, rand_core::RngCore};
use tokio::task::LocalSet;

use super::{
    requests::{Kind, Members, Requests},
    wire::Connection,
};
use crate::cli::{bench::timing::is_enough, interrupt::Interrupt};

/// Grace period for the last responses after the end of a load. After that it has failed.
const GRACE: Duration = Duration::from_secs(60);
/// Maximum open-loop requests waiting for a connection, per thread: at 40,000/s half a minute of stall.
/// Further ones are dropped.
const WAITING_MAX: usize = 1 << 20;
/// Latencies are recorded from 1 us to two minutes, to three digits.
const LONGEST_MICROS: u64 = 120_000_000;
const DIGITS: u8 = 3;
/// An open loop does not sleep when its next request is closer than this: the runtime's timers round up to
/// milliseconds.
const NEARLY: Duration = Duration::from_micros(2_500);

/// One kind of request, at one pace.
#[derive(Clone)]
pub(super) struct Stream {
    pub address: SocketAddr,
    pub kind: Kind,
    pub connections: usize,
    pub pace: Pace,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Pace {
    Closed,
    Open { per_second: f64 },
}

/// The result of a stream.
pub(super) struct Outcome {
    /// Responses per second, before the end.
    pub per_second: f64,
    /// 2xx responses, including those after the end.
    pub good: u64,
    /// Overload responses, where those are acceptable.
    pub refused: u64,
    /// All other responses.
    pub bad: u64,
    /// Requests not sent or not answered: still waiting when the grace period ended, or dropped because too
    /// many waited.
    pub given_up: u64,
    /// The first bad response.
    pub complaint: Option<String>,
    /// In microseconds; in an open loop from the intended send time.
    pub latency: Histogram<u64>,
    /// How late the generator itself was with requests of an open loop.
    pub late: Histogram<u64>,
}

impl Outcome {
    fn new() -> Self {
        let empty =
            || Histogram::new_with_bounds(1, LONGEST_MICROS, DIGITS).expect("the bounds are in order");
        Self {
            per_second: 0.0,
            good: 0,
            refused: 0,
            bad: 0,
            given_up: 0,
            complaint: None,
            latency: empty(),
            late: empty(),
        }
    }

    fn add(&mut self, other: &Self) {
        self.per_second += other.per_second;
        self.good += other.good;
        self.refused += other.refused;
        self.bad += other.bad;
        self.given_up += other.given_up;
        if self.complaint.is_none() {
            self.complaint.clone_from(&other.complaint);
        }
        self.latency.add(&other.latency).expect("all have the same bounds");
        self.late.add(&other.late).expect("all have the same bounds");
    }
}

/// Returns the quantile in microseconds; `None` with too few samples.
pub(super) fn at(histogram: &Histogram<u64>, share: f64) -> Option<f64> {
    is_enough(histogram.len(), share).then(|| histogram.value_at_quantile(share) as f64)
}

fn record(histogram: &mut Histogram<u64>, duration: Duration) {
    histogram.saturating_record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
}

/// Runs consecutive loads.
pub(super) struct Generator {
    pub members: Members,
    pub threads: usize,
    pub interrupt: Interrupt,
    /// Numbers the streams, so that none repeats the requests of another.
    next_stream: u64,
}

impl Generator {
    pub fn new(members: Members, threads: usize, interrupt: Interrupt) -> Self {
        Self { members, threads: threads.max(1), interrupt, next_stream: 1 }
    }

    /// Runs streams concurrently for `lasting`, then waits for their last responses. Returns one outcome per
    /// stream.
    ///
    /// # Errors
    /// When a connection fails, or responses take too long.
    pub fn run(&mut self, streams: &[Stream], lasting: Duration) -> io::Result<Vec<Outcome>> {
        let parts: Vec<Vec<Part>> = (0..self.threads).map(|thread| self.parts(streams, thread)).collect();
        let work = |parts: Vec<Part>| {
            let interrupt = self.interrupt.clone();
            move || run_parts(parts, lasting, &interrupt)
        };
        let mut sums: Vec<Outcome> = streams.iter().map(|_| Outcome::new()).collect();
        let started: io::Result<Vec<_>> = parts
            .into_iter()
            .map(|parts| thread::Builder::new().name("load".into()).spawn(work(parts)))
            .collect();
        for running in started? {
            let outcomes = running.join().map_err(|_| io::Error::other("a load thread panicked"))??;
            sums.iter_mut().zip(&outcomes).for_each(|(sum, outcome)| sum.add(outcome));
        }
        Ok(sums)
    }

    /// Returns one thread's part of each stream.
    fn parts(&mut self, streams: &[Stream], thread: usize) -> Vec<Part> {
        let part = |stream: &Stream| {
            let number = self.next_stream;
            self.next_stream += 1;
            let share = |whole: usize| whole / self.threads + usize::from(thread < whole % self.threads);
            let connections = share(stream.connections);
            let pace = match stream.pace {
                Pace::Closed => Pace::Closed,
                Pace::Open { per_second } => Pace::Open {
                    per_second: per_second * connections as f64 / stream.connections.max(1) as f64,
                },
            };
            let requests = Requests::new(stream.kind, self.members.clone(), stream.address, number);
            Part {
                address: stream.address,
                connections,
                pace,
                requests,
                random: Pcg64::new(u128::from(self.members.seed), u128::from(!number)),
            }
        };
        streams.iter().map(part).collect()
    }
}

/// A thread's part of a stream.
struct Part {
    address: SocketAddr,
    connections: usize,
    pace: Pace,
    requests: Requests,
    random: Pcg64,
}

fn run_parts(parts: Vec<Part>, lasting: Duration, interrupt: &Interrupt) -> io::Result<Vec<Outcome>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let all = async {
        let mut opened = Vec::with_capacity(parts.len());
        for part in parts {
            let mut connections = Vec::with_capacity(part.connections);
            for _ in 0..part.connections {
                connections.push(Connection::open(part.address).await?);
            }
            opened.push((part, connections));
        }
        let begin = Instant::now();
        let running = opened
            .into_iter()
            .map(|(part, connections)| Work::begin(part, connections, begin, lasting, interrupt.clone()));
        let running: Vec<_> = running.collect();
        let mut outcomes = Vec::with_capacity(running.len());
        for work in running {
            outcomes.push(work.end().await?);
        }
        Ok(outcomes)
    };
    let limited = async { tokio::time::timeout(lasting + GRACE, all).await };
    LocalSet::new()
        .block_on(&runtime, limited)
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "answers take too long")))
}

/// The state of a running part.
struct Work {
    shared: Rc<Shared>,
    tasks: Vec<tokio::task::JoinHandle<io::Result<()>>>,
}

struct Shared {
    end: Instant,
    lasting: Duration,
    interrupt: Interrupt,
    requests: RefCell<Requests>,
    outcome: RefCell<Outcome>,
    in_time: std::cell::Cell<u64>,
    due: RefCell<Due>,
}

/// Due requests of an open loop, and connections waiting for one.
#[derive(Default)]
struct Due {
    meant: VecDeque<Instant>,
    idle: Vec<Waker>,
    is_over: bool,
}

impl Work {
    fn begin(
        part: Part,
        connections: Vec<Connection>,
        begin: Instant,
        lasting: Duration,
        interrupt: Interrupt,
    ) -> Self {
        let shared = Rc::new(Shared {
            end: begin + lasting,
            lasting,
            interrupt,
            requests: RefCell::new(part.requests),
            outcome: RefCell::new(Outcome::new()),
            in_time: std::cell::Cell::new(0),
            due: RefCell::default(),
        });
        let is_open = matches!(part.pace, Pace::Open { .. });
        let mut tasks: Vec<_> = connections
            .into_iter()
            .map(|connection| tokio::task::spawn_local(Rc::clone(&shared).converse(connection, is_open)))
            .collect();
        if let Pace::Open { per_second } = part.pace
            && 0.0 < per_second
            && part.connections != 0
        {
            tasks.push(tokio::task::spawn_local(Rc::clone(&shared).pace(part.random, per_second, begin)));
        } else {
            shared.due.borrow_mut().is_over = true;
        }
        Self { shared, tasks }
    }

    async fn end(self) -> io::Result<Outcome> {
        for task in self.tasks {
            task.await.map_err(io::Error::other)??;
        }
        let mut outcome = self.shared.outcome.replace(Outcome::new());
        outcome.per_second = self.shared.in_time.get() as f64 / self.shared.lasting.as_secs_f64();
        Ok(outcome)
    }
}

impl Shared {
    /// Runs one connection until the end.
    async fn converse(self: Rc<Self>, mut connection: Connection, is_open: bool) -> io::Result<()> {
        let mut request = Vec::with_capacity(512);
        while let Some(meant) = if is_open { self.due_request().await } else { self.next_at_once() } {
            self.requests.borrow_mut().next(&mut request);
            let answer = connection.exchange(&request).await?;
            let now = Instant::now();
            let mut outcome = self.outcome.borrow_mut();
            record(&mut outcome.latency, now - meant);
            if now <= self.end {
                self.in_time.set(self.in_time.get() + 1);
            }
            if (200..300).contains(&answer.status) {
                outcome.good += 1;
            } else if self.requests.borrow().may_be_refused(answer.status) {
                outcome.refused += 1;
            } else {
                outcome.bad += 1;
                outcome.complaint.get_or_insert_with(|| {
                    format!(
                        "{} answered {} {}",
                        String::from_utf8_lossy(&request),
                        answer.status,
                        String::from_utf8_lossy(answer.body)
                    )
                });
            }
        }
        Ok(())
    }

    fn is_over(&self, now: Instant) -> bool {
        self.end <= now || self.interrupt.asked()
    }

    fn next_at_once(&self) -> Option<Instant> {
        let now = Instant::now();
        (!self.is_over(now)).then_some(now)
    }

    /// Returns the next due request; `None` after the last one.
    async fn due_request(&self) -> Option<Instant> {
        std::future::poll_fn(|cx| {
            let mut due = self.due.borrow_mut();
            if let Some(meant) = due.meant.pop_front() {
                return Poll::Ready(Some(meant));
            }
            if due.is_over {
                return Poll::Ready(None);
            }
            due.idle.push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Schedules requests until the end.
    async fn pace(self: Rc<Self>, mut random: Pcg64, per_second: f64, begin: Instant) -> io::Result<()> {
        let mut next = begin + gap(&mut random, per_second);
        loop {
            let now = Instant::now();
            if self.is_over(now) {
                break;
            }
            while next <= now {
                self.put(next, now);
                next += gap(&mut random, per_second);
            }
            let rest = next.min(self.end).saturating_duration_since(now);
            if NEARLY < rest {
                tokio::time::sleep(rest.saturating_sub(NEARLY)).await;
            } else {
                // The runtime polls its sockets before it returns here.
                tokio::task::yield_now().await;
            }
        }
        let mut due = self.due.borrow_mut();
        due.is_over = true;
        due.idle.drain(..).for_each(Waker::wake);
        Ok(())
    }

    fn put(&self, meant: Instant, now: Instant) {
        let mut due = self.due.borrow_mut();
        let mut outcome = self.outcome.borrow_mut();
        record(&mut outcome.late, now - meant);
        if WAITING_MAX <= due.meant.len() {
            outcome.given_up += 1;
            // It would have waited at least as long as the requests ahead of it have already.
            let waited = due.meant.front().map_or(Duration::ZERO, |first| now - *first);
            record(&mut outcome.latency, waited);
            return;
        }
        due.meant.push_back(meant);
        if let Some(waker) = due.idle.pop() {
            waker.wake();
        }
    }
}

/// Returns an interarrival time of a Poisson process.
fn gap(random: &mut Pcg64, per_second: f64) -> Duration {
    // Above 0 and at most 1, of 53 bits.
    let uniform = ((random.next_u64() >> 11) + 1) as f64 / 9_007_199_254_740_992.0;
    Duration::from_secs_f64(-uniform.ln() / per_second)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A server that responds at once, except for one pause.
    fn server(pause_after: Duration, pause: Duration) -> SocketAddr {
        let (sender, receiver) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                tokio::spawn(async move {
                    tokio::time::sleep(pause_after).await;
                    // Blocks the only thread: nothing is answered meanwhile.
                    thread::sleep(pause);
                });
                loop {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(async move {
                        let mut buffer = [0; 4_096];
                        while let Ok(1..) = stream.read(&mut buffer).await {
                            stream
                                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                                .await
                                .unwrap();
                        }
                    });
                }
            });
        });
        receiver.recv().unwrap()
    }

    fn run(pace: Pace, lasting: Duration, pause: Duration) -> Outcome {
        let address = server(Duration::from_millis(300), pause);
        let mut generator = Generator::new(Members::new(1, 10), 2, Interrupt::never());
        generator
            .run(&[Stream { address, kind: Kind::Reads, connections: 8, pace }], lasting)
            .unwrap()
            .remove(0)
    }

    #[test]
    fn gaps_are_as_long_as_the_rate_says() {
        let mut random = Pcg64::new(1, 1);
        let sum: Duration = (0..100_000).map(|_| gap(&mut random, 1_000.0)).sum();
        assert!((99.0..101.0).contains(&sum.as_secs_f64()), "{sum:?}");
    }

    /// The point of an open loop: a pause of 400 ms in a load of one second affects a third of its requests,
    /// not the eight that were in flight.
    #[test]
    fn an_open_loop_shows_a_pause_to_everybody_it_touches() {
        let pause = Duration::from_millis(400);
        let open = run(Pace::Open { per_second: 500.0 }, Duration::from_secs(1), pause);
        let asked = open.good + open.bad + open.given_up;
        assert!((400..600).contains(&asked) && open.bad == 0, "{asked} asked");
        let p80 = |outcome: &Outcome| at(&outcome.latency, 0.8).expect("many asked");
        assert!(100_000.0 < p80(&open), "p80 {} us", p80(&open));
        let closed = run(Pace::Closed, Duration::from_secs(1), pause);
        assert!(closed.good == closed.latency.len() && closed.bad == 0);
        assert!(p80(&closed) < 100_000.0, "a closed loop hides it: p80 {} us", p80(&closed));
    }

    #[test]
    fn a_closed_loop_counts_what_was_answered() {
        let outcome = run(Pace::Closed, Duration::from_millis(200), Duration::ZERO);
        assert!(0 < outcome.good && outcome.given_up == 0);
        assert!(outcome.per_second <= outcome.good as f64 / 0.2 + 1.0);
    }
}
