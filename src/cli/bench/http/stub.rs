//! `upline bench-stub`: the server's upper bound as a program: the HTTP stack and the disk, without any of
//! our code between them.
//!
//! A fair upper bound does everything that is unavoidable, in the cheapest way, and nothing else:
//!
//! - the same accept loop (tokio's threads, hyper's HTTP/1.1, TCP_NODELAY) and axum's router, in a process of
//!   its own with as many cores;
//! - a signup's body is parsed (by serde, into the same two ids), goes through a bounded channel of the same
//!   length to one writer thread, which takes all waiting signups as one group, writes as many bytes as the
//!   log's frame for that group has into a file prefilled with zeros, syncs it once, and replies through the
//!   same kind of channel; the response has the same headers and the same bytes, with the id from the
//!   request;
//! - a query's id is parsed, and the response is one that the real server gave for some other member, from
//!   memory.
//!
//! Left out, and therefore visible in the ratio: limits and timeouts, authorization, metrics, catching
//! panics; the tolerant body parser; id lookup, validation, encoding and checksumming the log, applying
//! (placement, counts, ranks), publishing, locks; serializing results.
//!
//! It stores nothing and is for `upline bench http` alone, which is why `--help` does not list it.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, thread};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderValue, Request, Response, StatusCode, header},
    routing::{get, post},
};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
};
use tower::ServiceExt;
use uuid::Uuid;

use super::{disk::Prepared, requests::Question};
use crate::{
    cli::{
        exit::{Exit, Failure},
        interrupt::Interrupt,
        screen,
    },
    core::{
        Actor, ActorKind,
        command::{Command, Origin, PlacementRequest, Register, SponsorRef, Stamped},
        types::{MemberId, Role, Timestamp},
    },
    durability::{frame_bytes, record_bytes},
    engine::limits::{GROUP_COMMANDS_MAX, QUEUE_MAX},
};

/// Connections that the kernel queues until they are accepted.
const BACKLOG: u32 = 1_024;

#[derive(clap::Args, Debug)]
pub(in crate::cli) struct Args {
    /// Answers of the real server, as JSON
    #[arg(long)]
    answers: PathBuf,
    /// The file to write to; it must not exist
    #[arg(long)]
    log: PathBuf,
}

/// Responses of the real server.
#[derive(Serialize, Deserialize)]
pub(super) struct Answers {
    /// To a signup.
    pub signup: String,
    /// For some members, in the order of [`Question::ALL`].
    pub questions: [Vec<String>; 4],
}

/// A signup on its way to the writer.
struct Signup {
    member: Uuid,
    sponsor: Option<Uuid>,
    reply: oneshot::Sender<u64>,
}

#[derive(Deserialize)]
struct SignupBody {
    user_id: Uuid,
    parent_id: Option<Uuid>,
}

struct Stub {
    queue: mpsc::Sender<Signup>,
    /// The response to a signup, and the offset of the id in it.
    signup: (Vec<u8>, usize),
    questions: [Vec<Bytes>; 4],
}

/// Serves until stopped.
///
/// # Errors
/// When the responses cannot be read, or the file cannot be written.
pub(in crate::cli) fn run(args: &Args) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let failed = |error: io::Error| Failure::new(Exit::Failed, error);
    let text = std::fs::read_to_string(&args.answers).map_err(failed)?;
    let answers: Answers = serde_json::from_str(&text).map_err(|error| Failure::new(Exit::Failed, error))?;
    let file = Prepared::create(&args.log).map_err(failed)?;
    let (queue, waiting) = mpsc::channel(QUEUE_MAX);
    thread::Builder::new().name("writer".into()).spawn(move || write(waiting, file)).map_err(failed)?;
    let stub = Arc::new(Stub::new(answers, queue)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    let served = runtime.block_on(async {
        tokio::select! {
            result = serve(stub) => result,
            () = interrupt.wait() => Ok(()),
        }
    });
    runtime.shutdown_background();
    served
}

impl Stub {
    fn new(answers: Answers, queue: mpsc::Sender<Signup>) -> Result<Self, Failure> {
        let wrong = |what| Failure::new(Exit::Failed, format!("the answers to give: {what}"));
        let id = serde_json::from_str::<SignupBody>(&answers.signup).map_err(wrong_json)?.user_id;
        let at = answers.signup.find(&id.to_string()).ok_or_else(|| wrong("a signup's has no id"))?;
        if answers.questions.iter().any(Vec::is_empty) {
            return Err(wrong("a question has none"));
        }
        let questions = answers.questions.map(|texts| texts.into_iter().map(Bytes::from).collect());
        Ok(Self { queue, signup: (answers.signup.into_bytes(), at), questions })
    }
}

fn wrong_json(error: serde_json::Error) -> Failure {
    Failure::new(Exit::Failed, error)
}

async fn serve(stub: Arc<Stub>) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(Exit::Failed, error);
    let socket = tokio::net::TcpSocket::new_v4().map_err(failed)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).map_err(failed)?;
    let listener = socket.listen(BACKLOG).map_err(failed)?;
    screen::say(&format!("listening on http://{}", listener.local_addr().map_err(failed)?))?;
    let [member, rank, count, upline] = Question::ALL;
    let router = Router::new()
        .route("/user/register", post(signup))
        .route(member.route(), get(answer::<0>))
        .route(rank.route(), get(answer::<1>))
        .route(count.route(), get(answer::<2>))
        .route(upline.route(), get(answer::<3>))
        .with_state(stub);
    accept(listener, router).await
}

async fn accept(listener: TcpListener, router: Router) -> Result<(), Failure> {
    loop {
        let (stream, _) = listener.accept().await.map_err(|error| Failure::new(Exit::Failed, error))?;
        tokio::spawn(serve_connection(stream, router.clone()));
    }
}

async fn serve_connection(stream: TcpStream, router: Router) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        router.clone().oneshot(request.map(Body::new))
    });
    // A failed connection is reported by its client.
    _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn signup(State(stub): State<Arc<Stub>>, body: Bytes) -> Response<Body> {
    let Ok(body) = serde_json::from_slice::<SignupBody>(&body) else {
        return response(StatusCode::UNPROCESSABLE_ENTITY, Bytes::new());
    };
    let (reply, durable) = oneshot::channel();
    let queued = stub.queue.try_send(Signup { member: body.user_id, sponsor: body.parent_id, reply });
    if queued.is_err() || durable.await.is_err() {
        return response(StatusCode::SERVICE_UNAVAILABLE, Bytes::new());
    }
    let (template, at) = &stub.signup;
    let mut text = template.clone();
    body.user_id.hyphenated().encode_lower(&mut text[*at..*at + 36]);
    response(StatusCode::OK, text.into())
}

async fn answer<const QUESTION: usize>(
    State(stub): State<Arc<Stub>>,
    Path(id): Path<Uuid>,
) -> Response<Body> {
    let answers = &stub.questions[QUESTION];
    let body = answers[usize::from(id.as_bytes()[15]) % answers.len()].clone();
    let mut response = response(StatusCode::OK, body);
    if QUESTION != 2 {
        // Same length as the LSN of a network of a million.
        response.headers_mut().insert("x-lsn", HeaderValue::from_static("1000000"));
    }
    response
}

fn response(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static("uvicorn"));
    response
}

/// The writer: drains the queue, writes as many bytes as the frame would have, syncs once, and replies.
fn write(mut waiting: mpsc::Receiver<Signup>, mut file: Prepared) {
    let record = signup_record_bytes();
    let mut group: Vec<Signup> = Vec::with_capacity(GROUP_COMMANDS_MAX);
    let mut frame = Vec::new();
    let mut written = 0;
    while let Some(first) = waiting.blocking_recv() {
        group.push(first);
        while group.len() < GROUP_COMMANDS_MAX
            && let Ok(next) = waiting.try_recv()
        {
            group.push(next);
        }
        frame.clear();
        for signup in &group {
            let end = frame.len() + record;
            frame.extend_from_slice(signup.member.as_bytes());
            frame.extend_from_slice(signup.sponsor.unwrap_or_default().as_bytes());
            frame.resize(end, 0x5a);
        }
        frame.resize(frame_bytes(frame.len()), 0x5a);
        if let Err(error) = file.append(&frame) {
            // Waiting requests fail when their channels close, and the generator sees their responses.
            screen::tell(&format!("the disk failed: {error}"));
            return;
        }
        for signup in group.drain(..) {
            written += 1;
            _ = signup.reply.send(written);
        }
    }
}

/// Returns the bytes of a log frame for a group of this many signups.
pub(super) fn group_bytes(signups: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of commands, at most that of the largest group"
    )]
    let signups = signups.round().clamp(1.0, GROUP_COMMANDS_MAX as f64) as usize;
    frame_bytes(signups * signup_record_bytes())
}

/// Returns the bytes of the log record of such a signup.
fn signup_record_bytes() -> usize {
    let register = Register {
        member: MemberId([1; 16]),
        sponsor: SponsorRef::Member(MemberId([2; 16])),
        placement: PlacementRequest::PlanDefault,
        code: None,
        role: Role::Member,
        joined_at: None,
        origin: Origin::Signup,
    };
    // The bench sends no credentials and runs on this machine.
    let actor = Some(Actor::new(ActorKind::Anonymous, "127.0.0.1"));
    let stamped = Stamped {
        lsn: 1,
        time: Timestamp(0),
        key: None,
        actor,
        format: Stamped::FORMAT,
        command: Command::Register(register),
    };
    record_bytes(&stamped).expect("a signup has no long texts")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signup_has_room_for_its_ids() {
        assert!((32..256).contains(&signup_record_bytes()), "{}", signup_record_bytes());
    }

    #[test]
    fn answers_must_be_whole() {
        let answers = |signup: &str, upline: &[&str]| {
            let some = || vec!["{}".to_owned()];
            Answers {
                signup: signup.into(),
                questions: [some(), some(), some(), upline.iter().map(|text| (*text).to_owned()).collect()],
            }
        };
        let made = |answers| Stub::new(answers, mpsc::channel(1).0).map_err(|failure| failure.message);
        let id = "00000000-0000-4000-8000-000000000007";
        let signup = format!("{{\"id\":1,\"user_id\":\"{id}\"}}");
        assert_eq!(made(answers(&signup, &["[]"])).unwrap().signup.1, signup.find(id).unwrap());
        assert!(made(answers("{}", &["[]"])).is_err());
        assert!(made(answers(&signup, &[])).is_err());
    }
}
