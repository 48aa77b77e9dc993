//! Batches: a command for each line, answered line by line as they come in. What the lines ask for is their
//! [`Subject`]: registrations (`registrations.rs`), orders (`orders.rs`) or attributes (`attributes.rs`).
//!
//! One task per batch reads lines, queues them in order, and writes their answers in the same order. The
//! number of lines in flight is bounded ([`BATCH_WINDOW`]), and so is the output waiting for a client that
//! does not read ([`BATCH_PIECES_MAX`]); when either is full, reading stops and TCP applies backpressure.
//! Nothing grows with the number of lines.
//!
//! A line may depend on one in flight: a child may follow its sponsor at once. Such a line is queued behind
//! it and judged when it is applied ([`Engine::judge`]). A line that nothing in flight can fix is refused
//! before the log, as everywhere.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderValue, Response, StatusCode, header},
};
use http_body::Frame;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;

use self::{
    lines::{Line, Lines},
    seats::Seat,
};
use super::{
    X_LSN,
    caller::Caller,
    media,
    problem::{self, Code, Problem, problems},
};
use crate::{
    engine::{Answer, Command, Engine, MemberDirectory, PendingWrite, Rejection, State, SubmitError},
    http::{
        auth::{Action, Sight},
        context::Shared,
        limits::{
            BATCH_PIECE_BYTES, BATCH_PIECES_MAX, BATCH_WINDOW, BATCHES_MAX, BATCHES_OF_PRINCIPAL_MAX,
            SLICE_ROWS,
        },
        reply::{self, Reply},
    },
};

mod attributes;
mod lines;
mod orders;
mod registrations;
pub mod seats;

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    registrations::routes().merge(orders::routes()).merge(attributes::routes())
}

/// What the lines of a batch ask for.
trait Subject: Send + Sync + 'static {
    /// The route.
    const PATH: &'static str;
    /// What its sender must be allowed to do.
    const ACTION: Action;
    /// Bytes of a line; a longer one is answered with its own problem and skipped.
    const LINE_BYTES_MAX: usize;

    /// What is kept of a line until it is answered.
    type Kept: Send;
    /// The answer to a line that was accepted.
    type Accepted: Serialize + Send;

    /// At the beginning of a batch.
    fn begin(state: &State) -> Self;

    /// The command that a line asks for.
    ///
    /// # Errors
    /// What is wrong with the line.
    fn read(&self, engine: &Engine, text: &[u8]) -> Result<(Self::Kept, Command), Problem>;

    /// Whether a rejection may be due to a line in flight. `waiting` are those, the newest first.
    fn may_be_on_its_way<'k>(
        &self,
        waiting: impl Iterator<Item = &'k Self::Kept>,
        kept: &Self::Kept,
        rejection: Rejection,
    ) -> bool;

    /// The answer to a line whose command was judged or applied.
    ///
    /// # Errors
    /// The rejection.
    fn settle(
        line: u64,
        kept: &Self::Kept,
        answer: Answer,
        sight: Sight,
        state: &State,
        directory: &MemberDirectory,
    ) -> Result<Self::Accepted, Problem>;
}

/// The answer to one line: one that was accepted has what it came to, one that was rejected a problem.
#[derive(Serialize)]
#[serde(untagged)]
enum LineAnswer<A> {
    Accepted(A),
    Rejected(RejectedLine),
}

/// A line that was refused or not understood.
#[derive(Serialize, ToSchema)]
struct RejectedLine {
    /// Number of the line, from 1; empty lines are counted and not answered.
    #[schema(minimum = 1)]
    line: u64,
    /// Status of the problem.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// LSN of the state it was judged by; absent where it came to no judgment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = false)]
    lsn: Option<u64>,
    #[schema(schema_with = problem::reference)]
    problem: Value,
}

problems!(
    Problems: [
        Code::MediaTypeUnsupported,
        Code::BodyEncoded,
        Code::Overloaded,
        Code::Stopping,
    ]
);

/// Answers a batch.
async fn answer<S: Subject>(shared: &Arc<Shared>, caller: &Caller, request: Request) -> Reply {
    let begun = begin::<S>(shared, caller, request).await;
    // The rest of the body is not read.
    begun.unwrap_or_else(|problem| {
        reply::with_header(problem.into(), header::CONNECTION, HeaderValue::from_static("close"))
    })
}

async fn begin<S: Subject>(
    shared: &Arc<Shared>,
    caller: &Caller,
    request: Request,
) -> Result<Reply, Problem> {
    caller.may(S::ACTION)?;
    let engine = shared.v1_engine()?.clone();
    let (parts, body) = request.into_parts();
    media::check_body(&parts.headers, is_lines, "application/x-ndjson")?;
    // Without credentials, all clients are one principal.
    let share = if caller.0.is_anonymous() { BATCHES_MAX } else { BATCHES_OF_PRINCIPAL_MAX };
    let seat = shared.desk.batches.take(&caller.0.name, share);
    let seat = seat
        .ok_or_else(|| Problem::new(Code::Overloaded).detail("as many batches are running as may at once"))?;
    let mut lines = Lines::new(body, S::LINE_BYTES_MAX, shared.options.limits.body_timeout);
    // Only reading the body makes the server say "continue"; other clients may wait for the answer's head
    // before they send.
    if parts.headers.contains_key(header::EXPECT) {
        lines.fill().await;
    }
    let (lsn, sight, subject) =
        engine.read(|state, directory| (state.lsn(), caller.0.sight(state, directory), S::begin(state)));
    let (pieces, queue) = mpsc::channel(BATCH_PIECES_MAX);
    let work = Batch {
        shared: Arc::clone(shared),
        engine,
        lines,
        sight,
        subject,
        caller: caller.clone(),
        in_flight: VecDeque::new(),
        is_over: false,
        out: Vec::with_capacity(BATCH_PIECE_BYTES),
        pieces,
        seat,
    };
    tokio::spawn(work.run());
    let mut reply = Response::new(Body::new(Pieces { queue, is_done: false }));
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    reply.headers_mut().insert(X_LSN, HeaderValue::from(lsn));
    Ok(reply)
}

fn is_lines(essence: &str) -> bool {
    matches!(essence, "application/x-ndjson" | "application/ndjson" | "application/jsonl")
}

/// A line that was accepted but not answered yet.
struct Taken<K> {
    line: u64,
    asked: Asked<K>,
}

enum Asked<K> {
    /// It produced no command, or the command has no outcome.
    Refused(Problem),
    Answered(K, Answer),
    Waiting(K, PendingWrite),
}

impl<K> Taken<K> {
    fn is_answered(&mut self) -> bool {
        if let Asked::Waiting(_, pending) = &mut self.asked
            && let Some(result) = pending.try_answer()
        {
            self.answered(result);
        }
        !matches!(self.asked, Asked::Waiting(..))
    }

    fn answered(&mut self, result: Result<Answer, SubmitError>) {
        let asked = std::mem::replace(&mut self.asked, Asked::Refused(Code::Internal.into()));
        self.asked = match (asked, result) {
            (Asked::Waiting(kept, _), Ok(answer)) => Asked::Answered(kept, answer),
            (Asked::Waiting(..), Err(error)) => Asked::Refused(error.into()),
            (other, _) => other,
        };
    }

    /// Waits for the outcome.
    async fn wait(&mut self) {
        if let Asked::Waiting(_, pending) = &mut self.asked {
            let result = pending.answer().await;
            self.answered(result);
        }
    }
}

struct Batch<S: Subject> {
    shared: Arc<Shared>,
    engine: Engine,
    lines: Lines,
    sight: Sight,
    subject: S,
    /// The sender.
    caller: Caller,
    in_flight: VecDeque<Taken<S::Kept>>,
    /// No further lines are accepted.
    is_over: bool,
    /// Answers not handed over yet.
    out: Vec<u8>,
    pieces: mpsc::Sender<Piece>,
    seat: Seat,
}

/// The client is gone.
struct Gone;

impl<S: Subject> Batch<S> {
    async fn run(mut self) {
        loop {
            while !self.is_over && self.in_flight.len() < BATCH_WINDOW && self.take().await {}
            if self.is_over && self.in_flight.is_empty() {
                break;
            }
            let mut has_seat = true;
            let can_take = !self.is_over && self.in_flight.len() < BATCH_WINDOW;
            if can_take {
                // Not idle while answers are left: that client may only be slow to read.
                let is_idle = self.in_flight.is_empty()
                    && self.out.is_empty()
                    && self.pieces.capacity() == BATCH_PIECES_MAX;
                self.seat.note(is_idle);
                self.seat.waits(self.in_flight.is_empty() || self.pieces.capacity() == 0);
                tokio::select! {
                    () = self.lines.fill() => continue,
                    () = self.seat.lost() => has_seat = false,
                    () = wait_for(self.in_flight.front_mut()) => {}
                    // Held back while there was no room for it.
                    room = self.pieces.reserve(), if !self.out.is_empty() => match room {
                        Ok(room) => room.send(Piece::Data(std::mem::take(&mut self.out).into())),
                        Err(_) => return,
                    },
                }
            } else {
                self.seat.waits(false);
                wait_for(self.in_flight.front_mut()).await;
                // The next line's clock starts only now that it could be accepted.
                self.lines.restart_clock();
            }
            if !has_seat {
                self.end(
                    Problem::new(Code::Overloaded)
                        .detail("no line came, or too few, and another batch needed the place"),
                );
                continue;
            }
            if self.hand_over().await.is_err() {
                // Queued lines are still written; a client that sends them again gets their outcome.
                return;
            }
        }
        // The end marker is sent last, so that an answer without it is known to be truncated.
        if self.flush().await.is_ok() {
            let _ = send(&self.pieces, &self.seat, Piece::End).await;
        }
    }

    /// Accepts a line, if one has come.
    async fn take(&mut self) -> bool {
        if self.shared.draining.load(Ordering::Relaxed) {
            self.end(Code::Stopping.into());
            return false;
        }
        if !self.shared.gate.stands(&self.caller.0) {
            let detail = "the credentials were good when the batch began, and are not any more";
            self.end(Problem::new(Code::Unauthenticated).detail(detail));
            return false;
        }
        let (line, text) = match self.lines.next() {
            Line::None => return false,
            Line::Text(line, text) => (line, text),
            Line::TooLong(line) => {
                self.seat.line();
                self.refuse(line, Problem::new(Code::BodyTooLarge).detail("the line is too long"));
                return true;
            }
            Line::End => {
                self.is_over = true;
                return false;
            }
            Line::Failed(code) => {
                self.end(code.into());
                return false;
            }
        };
        self.seat.line();
        match self.subject.read(&self.engine, &text) {
            Ok((kept, command)) => self.submit(line, kept, command).await,
            Err(problem) => self.refuse(line, problem),
        }
        true
    }

    fn refuse(&mut self, line: u64, problem: Problem) {
        self.in_flight.push_back(Taken { line, asked: Asked::Refused(problem) });
    }

    /// Answers in place of the next line, and accepts no more.
    fn end(&mut self, problem: Problem) {
        let line = self.lines.number() + 1;
        self.refuse(line, problem);
        self.is_over = true;
    }

    async fn submit(&mut self, line: u64, kept: S::Kept, command: Command) {
        let waiting = self.in_flight.iter().rev().filter_map(|taken| match &taken.asked {
            Asked::Waiting(kept, _) => Some(kept),
            Asked::Refused(_) | Asked::Answered(..) => None,
        });
        let judged = self
            .engine
            .judge(&command, None, |rejection| self.subject.may_be_on_its_way(waiting, &kept, rejection));
        let asked = match judged {
            Ok(Some(answer)) => Ok(Asked::Answered(kept, answer)),
            Ok(None) => self
                .engine
                .queue(command, self.caller.sends(None))
                .await
                .map(|pending| Asked::Waiting(kept, pending)),
            Err(error) => Err(error),
        };
        let asked = asked.unwrap_or_else(|error| {
            // None of these can be fixed within this batch.
            self.is_over = true;
            Asked::Refused(error.into())
        });
        self.in_flight.push_back(Taken { line, asked });
    }

    /// Prints available answers and hands them over. Waits for a client that does not read.
    async fn hand_over(&mut self) -> Result<(), Gone> {
        loop {
            let ready = self.in_flight.iter_mut().take(SLICE_ROWS).position(|taken| !taken.is_answered());
            let ready = ready.unwrap_or(self.in_flight.len().min(SLICE_ROWS));
            if ready == 0 {
                // A small piece waits for more instead of taking a place.
                return if self.pieces.capacity() == 0 && self.out.len() < BATCH_PIECE_BYTES {
                    Ok(())
                } else {
                    self.flush().await
                };
            }
            let Self { engine, in_flight, out, sight, is_over, caller, shared, .. } = self;
            let mut answers = Vec::with_capacity(ready);
            engine.read(|state, directory| {
                answers.extend(
                    in_flight
                        .drain(..ready)
                        .map(|taken| answer_of::<S>(taken, *sight, state, directory, is_over)),
                );
            });
            for answer in &answers {
                if let LineAnswer::Rejected(line) = answer {
                    caller.tell_refused_line(shared, S::PATH, line.status);
                }
                serde_json::to_writer(&mut *out, answer).expect("answers are plain data");
                out.push(b'\n');
            }
            if BATCH_PIECE_BYTES <= out.len() {
                self.flush().await?;
            }
        }
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        if self.out.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.out, Vec::with_capacity(BATCH_PIECE_BYTES));
        let must_wait = self.pieces.capacity() == 0;
        send(&self.pieces, &self.seat, Piece::Data(piece.into())).await?;
        if must_wait {
            self.lines.restart_clock();
        }
        Ok(())
    }
}

/// Hands a piece over as soon as there is room for it. A client that does not read loses its seat like one
/// that does not send; the answer is then truncated.
async fn send(pieces: &mpsc::Sender<Piece>, seat: &Seat, piece: Piece) -> Result<(), Gone> {
    seat.waits(pieces.capacity() == 0);
    tokio::select! {
        biased;
        handed_over = pieces.send(piece) => handed_over.map_err(|_| Gone),
        () = seat.lost() => Err(Gone),
    }
}

async fn wait_for<K>(taken: Option<&mut Taken<K>>) {
    match taken {
        Some(taken) => taken.wait().await,
        None => std::future::pending().await,
    }
}

fn answer_of<S: Subject>(
    taken: Taken<S::Kept>,
    sight: Sight,
    state: &State,
    directory: &MemberDirectory,
    is_over: &mut bool,
) -> LineAnswer<S::Accepted> {
    let Taken { line, asked } = taken;
    let settled = match asked {
        Asked::Answered(kept, answer) => S::settle(line, &kept, answer, sight, state, directory),
        Asked::Refused(problem) => Err(problem),
        Asked::Waiting(..) => Err(Code::Internal.into()),
    };
    settled.map_or_else(
        |problem| {
            let status = problem.code().status();
            *is_over |= ends_a_batch(problem.code());
            let json = problem.to_json();
            LineAnswer::Rejected(RejectedLine {
                line,
                status: status.as_u16(),
                lsn: json["lsn"].as_u64(),
                problem: json,
            })
        },
        LineAnswer::Accepted,
    )
}

/// Failures after which no later line can succeed.
fn ends_a_batch(code: Code) -> bool {
    code.status() == StatusCode::SERVICE_UNAVAILABLE || code == Code::Internal
}

enum Piece {
    Data(Bytes),
    End,
}

/// The answers as a body. One that ends without [`Piece::End`] is an error, so that nobody takes a truncated
/// answer for a complete one.
struct Pieces {
    queue: mpsc::Receiver<Piece>,
    is_done: bool,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.is_done {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.queue.poll_recv(cx)) {
            Some(Piece::Data(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Piece::End) => {
                self.is_done = true;
                None
            }
            None => {
                self.is_done = true;
                Some(Err(io::Error::other("the batch broke off")))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_done
    }
}
