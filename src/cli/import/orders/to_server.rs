//! Orders of a file to a running server.
//!
//! It gets batches (`POST /v1/orders/batch`), one after the other. Each is answered before the next is sent,
//! so what was answered is durable, and an import that is cut short is resumed by the same command: orders
//! that are there are passed over.

use std::collections::HashMap;

use super::{
    sink::{OnLine, Reader, Sink, Trouble, ambiguous_code, order_id, unknown_member},
    table::in_columns,
    taken::{Reason, Taken},
};
use crate::{
    cli::{
        exit::{Exit, Failure},
        interrupt::Interrupt,
        member_on_server::{find_on_server, user_id},
        names::Name,
        problem,
        remote::Remote,
    },
    core::{plan::commerce::AMOUNT, types::MemberId},
    http::offline::OrderGiven,
};

/// Orders of a batch: some groups of the server's log, whose answers fit what it keeps for a slow reader.
const BATCH_ORDERS: usize = 4_096;
/// Bytes after which a batch is sent.
const BATCH_BYTES: usize = 2 << 20;

/// Sends orders to a server.
pub struct ToServer<'i> {
    remote: Remote,
    interrupt: &'i Interrupt,
    /// The lines of the next batch.
    body: Vec<u8>,
    sent: Vec<Sent>,
    /// What texts that are no ids name.
    members: HashMap<Box<str>, Option<MemberId>>,
}

/// An order of a batch.
struct Sent {
    /// Its line in the file.
    line: u64,
    /// Where it ends in the body.
    end: usize,
    is_row: bool,
}

/// Leaves the rules to the server.
pub struct AsGiven;

pub enum ToSend {
    Row(Box<OrderGiven>, Name),
    Object(Box<[u8]>),
}

impl Reader for AsGiven {
    type Order = ToSend;

    fn row(&self, given: OrderGiven, member: Name) -> Result<ToSend, Reason> {
        Ok(ToSend::Row(Box::new(given), member))
    }

    fn object(&self, text: &[u8]) -> Result<ToSend, Reason> {
        Ok(ToSend::Object(text.into()))
    }
}

impl<'i> ToServer<'i> {
    pub fn new(remote: Remote, interrupt: &'i Interrupt) -> Self {
        Self { remote, interrupt, body: Vec::new(), sent: Vec::new(), members: HashMap::new() }
    }

    /// The member that a table names.
    fn member(&mut self, name: &Name) -> Result<MemberId, Trouble> {
        let Some(text) = &name.text else { return Ok(name.id) };
        if let Some(known) = self.members.get(text) {
            return known.ok_or_else(|| unknown_member(text).into());
        }
        let found = match find_on_server(&self.remote, text) {
            Ok((member, _)) => Some(id_of(user_id(&member).map_err(Trouble::Failed)?)?),
            Err(failure) if failure.exit == Exit::Unknown => None,
            Err(failure) if failure.message.contains("code_ambiguous") => {
                return Err(ambiguous_code(text).into());
            }
            Err(failure) => return Err(Trouble::Failed(failure)),
        };
        self.members.insert(text.clone(), found);
        found.ok_or_else(|| unknown_member(text).into())
    }

    /// Writes an order into the body of the batch.
    fn write(&mut self, order: ToSend) -> Result<(), Trouble> {
        match order {
            ToSend::Object(text) => self.body.extend_from_slice(&text),
            ToSend::Row(given, name) => {
                let given = given.credited_to(self.member(&name)?);
                let written = serde_json::to_vec(&given);
                self.body.extend(written.expect("an order is an object of texts and numbers"));
            }
        }
        self.body.push(b'\n');
        Ok(())
    }

    /// Sends the batch.
    fn send(&mut self, taken: &mut Taken) -> Result<(), Failure> {
        if self.sent.is_empty() {
            return Ok(());
        }
        if self.interrupt.asked() {
            return Err(Failure::interrupted("the import was cut short"));
        }
        let (body, sent) = (std::mem::take(&mut self.body), std::mem::take(&mut self.sent));
        let answers = self.remote.post_lines("/v1/orders/batch", &body)?;
        let mut answers = answers.into_iter();
        let mut begin = 0;
        for Sent { line, end, is_row } in sent {
            let text = &body[begin..end];
            begin = end;
            let cut_short = |why: &str| {
                let message = format!("the server ended a batch before line {line} of the file: {why}");
                Failure::new(Exit::Refused, message)
            };
            let Some(answer) = answers.next() else { return Err(cut_short("it gave no reason")) };
            match answer["status"].as_u64().and_then(|status| u16::try_from(status).ok()) {
                Some(201) => taken.orders += 1,
                Some(200) => taken.already_there += 1,
                // What is wrong is not the order.
                Some(status) if status == 401 || 500 <= status => {
                    return Err(cut_short(&problem::in_words(status, Some(&answer["problem"]))));
                }
                Some(status) => {
                    let reason = Reason::of_json(status, &answer["problem"]);
                    let reason = if is_row { in_columns(reason) } else { reason };
                    taken.refuse(line, order_id(text), reason);
                }
                None => return Err(cut_short("it answered no line: is it an upline server?")),
            }
        }
        Ok(())
    }
}

fn id_of(user_id: &str) -> Result<MemberId, Trouble> {
    let id = uuid::Uuid::try_parse(user_id).map_err(|_| {
        let message = format!("the server's answer names no member but `{user_id}`: is it an upline server?");
        Trouble::Failed(Failure::new(Exit::Refused, message))
    })?;
    Ok(MemberId(*id.as_bytes()))
}

impl Sink for ToServer<'_> {
    type Reader = AsGiven;

    fn volumes(&self) -> Result<Vec<String>, Failure> {
        let answer = self.remote.get("/v1/plan")?;
        let volumes = answer.body["plan"]["volume"].as_object().into_iter().flatten();
        // The amount has a column of its own.
        Ok(volumes.map(|(name, _)| name.clone()).filter(|name| name != AMOUNT).collect())
    }

    fn reader(&self) -> AsGiven {
        AsGiven
    }

    fn place(&mut self, orders: Vec<OnLine<ToSend>>, taken: &mut Taken) -> Result<(), Failure> {
        for (line, order) in orders {
            let is_row = matches!(order, ToSend::Row(..));
            let id = match &order {
                ToSend::Row(given, _) => given.order_id.clone(),
                ToSend::Object(_) => String::new(),
            };
            match self.write(order) {
                Ok(()) => self.sent.push(Sent { line, end: self.body.len(), is_row }),
                Err(Trouble::Refused(reason)) => taken.refuse(line, id, reason),
                Err(Trouble::Failed(failure)) => return Err(failure),
            }
            if BATCH_ORDERS <= self.sent.len() || BATCH_BYTES <= self.body.len() {
                self.send(taken)?;
            }
        }
        Ok(())
    }

    /// Refuses it: what would come of it can be told only where the network is.
    fn carry(&mut self, line: u64, body: &[u8], taken: &mut Taken) -> Result<(), Failure> {
        let words = "orders of an export go into a data directory, not to a server";
        taken.refuse(line, order_id(body), Reason::new("order_exported", words));
        Ok(())
    }

    fn finish(&mut self, taken: &mut Taken) -> Result<(), Failure> {
        self.send(taken)
    }
}
