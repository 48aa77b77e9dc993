//! `POST /v1/members/batch`: registrations, one per line, answered line by line as they come in.
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
    extract::{Request, State as Extract},
    http::{HeaderValue, Response, StatusCode, header},
};
use http_body::Frame;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use self::{
    lines::{Line, Lines},
    seats::Seat,
};
use super::{
    X_LSN,
    caller::Caller,
    extract, media,
    problem::{self, Code, Problem, problems},
    register::{Registration, settle},
    strict_json,
    types::user_id,
};
use crate::{
    engine::{
        Answer, Command, Engine, MemberDirectory, Outcome, PendingWrite, PlacementRequest, Register,
        Rejection, SponsorRef, State, SubmitError,
    },
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

mod lines;
pub mod seats;

pub fn routes() -> OpenApiRouter<Arc<Shared>> {
    OpenApiRouter::new().routes(routes!(batch))
}

/// The answer to one line: one that was accepted has a place, one that was rejected a problem.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum LineAnswer {
    Accepted(AcceptedLine),
    Rejected(RejectedLine),
}

/// A line whose member is registered, and what was decided then.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "line": 2, "status": 201, "lsn": 1801, "user_id": "6f2b4b0e-5d0c-4b1e-9d6a-0c5b8d1f2a3c",
    "code": "BERT_1",
    "sponsor": "0c7f6a52-6a5e-4a7e-8d5f-1f2e3d4c5b6a", "parent": "0c7f6a52-6a5e-4a7e-8d5f-1f2e3d4c5b6a",
    "slot": 1,
}))]
struct AcceptedLine {
    /// Number of the line, from 1; empty lines are counted and not answered.
    #[schema(minimum = 1)]
    line: u64,
    /// As a single registration would be answered: 201, or 200 for a repeat.
    #[schema(minimum = 200, maximum = 201)]
    status: u16,
    /// LSN of the registration; for a repeat, of the state it was found in.
    lsn: u64,
    user_id: Uuid,
    #[schema(max_length = 64)]
    code: String,
    /// Null for a root.
    sponsor: Option<Uuid>,
    /// Null for a root.
    parent: Option<Uuid>,
    slot: u32,
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

impl AcceptedLine {
    fn new(
        line: u64,
        status: StatusCode,
        lsn: u64,
        state: &State,
        sight: Sight,
        member: crate::engine::MemberIx,
    ) -> Self {
        let row = state.member(member);
        let seen = |other: Option<_>| {
            other.filter(|other| sight.sees(state, *other)).map(|other| user_id(state, other))
        };
        Self {
            line,
            status: status.as_u16(),
            lsn,
            user_id: Uuid::from_bytes(row.id.0),
            code: state.code(member).into_string(),
            sponsor: seen(row.sponsor),
            parent: seen(row.parent),
            slot: row.slot,
        }
    }
}

problems!(
    Problems: [
        Code::MediaTypeUnsupported,
        Code::BodyEncoded,
        Code::Overloaded,
        Code::Stopping,
    ]
);

/// Register many members
///
/// One registration a line (at most 4,096 bytes), as for `POST /v1/members`; one answer a line, in the same
/// order, while lines still come in. Any number of lines, in bounded memory. Lines are applied in their
/// order, so a child may follow its sponsor. A line that is refused or not understood is answered with its
/// problem, and the rest goes on. What was answered is durable. To resume after a cut connection send the
/// whole again: what was registered before is 200.
///
/// Read while you send. A client that does not read is not read from either once some 4 MiB of answers wait,
/// and its connection ends after 30 seconds without progress. A line must be complete 10 seconds after the
/// one before, or after the server has taken that; empty lines do not count. Four batches run at once, two of
/// one principal; one that has waited 2 seconds for its next line makes way for another that finds no place,
/// and so does one that had fewer than 10 lines for each second of waiting for its client to send or to read,
/// once that is 10 seconds. When no line can be taken any more (the body broke off or was too slow; another
/// batch took the place; the credentials were revoked or expired; the server stops; the log failed) the last
/// answer is the problem with status 400, 401, 408, 500 or 503, and nothing after that line was looked at.
#[utoipa::path(
    post,
    path = "/v1/members/batch",
    tag = "members",
    request_body(
        content = Registration, content_type = "application/x-ndjson", description = "One JSON object a line"
    ),
    responses(
        (
            status = 200, body = LineAnswer, content_type = "application/x-ndjson",
            description = "One JSON object a line",
            headers(("x-lsn" = u64, description = "LSN at the beginning"))
        ),
        Problems,
    ),
)]
async fn batch(
    Extract(shared): Extract<Arc<Shared>>,
    caller: Caller,
    request: Request,
) -> Result<Reply, Problem> {
    let begun = begin(&shared, &caller, request).await;
    // The rest of the body is not read.
    begun.or_else(|problem| {
        Ok(reply::with_header(problem.into(), header::CONNECTION, HeaderValue::from_static("close")))
    })
}

async fn begin(shared: &Arc<Shared>, caller: &Caller, request: Request) -> Result<Reply, Problem> {
    caller.may(Action::RegisterMember)?;
    let engine = shared.v1_engine()?.clone();
    let (parts, body) = request.into_parts();
    media::check_body(&parts.headers, is_lines, "application/x-ndjson")?;
    // Without credentials, all clients are one principal.
    let share = if caller.0.is_anonymous() { BATCHES_MAX } else { BATCHES_OF_PRINCIPAL_MAX };
    let seat = shared.desk.batches.take(&caller.0.name, share);
    let seat = seat
        .ok_or_else(|| Problem::new(Code::Overloaded).detail("as many batches are running as may at once"))?;
    let mut lines = Lines::new(body, shared.options.limits.body_timeout);
    // Only reading the body makes the server say "continue"; other clients may wait for the answer's head
    // before they send.
    if parts.headers.contains_key(header::EXPECT) {
        lines.fill().await;
    }
    let (lsn, sight, is_unlimited) = engine.read(|state, directory| {
        let is_unlimited = state.plan().placement.width.is_none();
        (state.lsn(), caller.0.sight(state, directory), is_unlimited)
    });
    let (pieces, queue) = mpsc::channel(BATCH_PIECES_MAX);
    let work = Batch {
        shared: Arc::clone(shared),
        engine,
        lines,
        sight,
        is_unlimited,
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
struct Taken {
    line: u64,
    asked: Asked,
}

enum Asked {
    /// It produced no command, or the command has no outcome.
    Refused(Problem),
    Answered(Register, Answer),
    Waiting(Register, PendingWrite),
}

impl Taken {
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
            (Asked::Waiting(register, _), Ok(answer)) => Asked::Answered(register, answer),
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

struct Batch {
    shared: Arc<Shared>,
    engine: Engine,
    lines: Lines,
    sight: Sight,
    /// Slots are unnumbered, so only the next one is free.
    is_unlimited: bool,
    /// The sender.
    caller: Caller,
    in_flight: VecDeque<Taken>,
    /// No further lines are accepted.
    is_over: bool,
    /// Answers not handed over yet.
    out: Vec<u8>,
    pieces: mpsc::Sender<Piece>,
    seat: Seat,
}

/// The client is gone.
struct Gone;

impl Batch {
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
        match read_line(&text) {
            Ok(register) => self.submit(line, register).await,
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

    async fn submit(&mut self, line: u64, register: Register) {
        let command = Command::Register(register.clone());
        let (in_flight, is_unlimited) = (&self.in_flight, self.is_unlimited);
        let judged = self.engine.judge(&command, None, |rejection| {
            (rejection != Rejection::SlotOutOfRange || is_unlimited)
                && may_be_on_its_way(in_flight, &register, rejection)
        });
        let asked = match judged {
            Ok(Some(answer)) => Ok(Asked::Answered(register, answer)),
            Ok(None) => self
                .engine
                .queue(command, self.caller.sends(None))
                .await
                .map(|pending| Asked::Waiting(register, pending)),
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
                    in_flight.drain(..ready).map(|taken| answer_of(taken, *sight, state, directory, is_over)),
                );
            });
            for answer in &answers {
                if let LineAnswer::Rejected(line) = answer {
                    caller.tell_refused_line(shared, line.status);
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

async fn wait_for(taken: Option<&mut Taken>) {
    match taken {
        Some(taken) => taken.wait().await,
        None => std::future::pending().await,
    }
}

fn read_line(text: &[u8]) -> Result<Register, Problem> {
    // The fast path reports no field paths; only invalid lines are parsed again.
    let registration =
        strict_json::from_slice::<Registration>(text).or_else(|_| extract::parse::<Registration>(text))?;
    registration.register()
}

/// Whether a rejection may be due to a line in flight: a sponsor or parent that comes first, or the slots
/// before this one.
fn may_be_on_its_way(in_flight: &VecDeque<Taken>, register: &Register, rejection: Rejection) -> bool {
    let mut waiting = in_flight.iter().rev().filter_map(|taken| match &taken.asked {
        Asked::Waiting(register, _) => Some(register),
        Asked::Refused(_) | Asked::Answered(..) => None,
    });
    let sponsor_is = |other: &Register| match &register.sponsor {
        SponsorRef::None => false,
        SponsorRef::Member(id) => *id == other.member,
        SponsorRef::Code(code) => other.code.as_ref().is_some_and(|theirs| theirs.alike() == code.alike()),
    };
    let parent = match register.placement {
        PlacementRequest::Slot { parent, .. } => Some(parent),
        PlacementRequest::PlanDefault | PlacementRequest::Rule(_) => None,
    };
    match rejection {
        Rejection::SponsorUnknown => waiting.any(sponsor_is),
        Rejection::ParentUnknown => waiting.any(|other| Some(other.member) == parent),
        // Without a width only the next slot is free; any line under the same sponsor or parent may take the
        // one before.
        Rejection::SlotOutOfRange => waiting.any(|other| match other.placement {
            PlacementRequest::Slot { parent: theirs, .. } => Some(theirs) == parent,
            PlacementRequest::PlanDefault | PlacementRequest::Rule(_) => other.sponsor == register.sponsor,
        }),
        _ => false,
    }
}

fn answer_of(
    taken: Taken,
    sight: Sight,
    state: &State,
    directory: &MemberDirectory,
    is_over: &mut bool,
) -> LineAnswer {
    let Taken { line, asked } = taken;
    let settled = match asked {
        Asked::Answered(register, answer) => {
            let settled = settle(&register, answer.applied, answer.by, state, directory);
            let lsn = if matches!(answer.applied.outcome, Outcome::Registered { .. }) {
                answer.applied.lsn
            } else {
                state.lsn()
            };
            settled.map(|(member, done)| (member, done, lsn))
        }
        Asked::Refused(problem) => Err(problem),
        Asked::Waiting(..) => Err(Code::Internal.into()),
    };
    match settled {
        Ok((member, done, lsn)) => {
            LineAnswer::Accepted(AcceptedLine::new(line, done.status(), lsn, state, sight, member))
        }
        Err(problem) => {
            let status = problem.code().status();
            *is_over |= ends_a_batch(problem.code());
            let json = problem.to_json();
            LineAnswer::Rejected(RejectedLine {
                line,
                status: status.as_u16(),
                lsn: json["lsn"].as_u64(),
                problem: json,
            })
        }
    }
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
