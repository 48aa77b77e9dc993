//! `upline tree`: a bounded part of a tree, drawn in the terminal.
//!
//! Members are chosen breadth first, so that a truncated drawing is cut at the bottom and not on the right.
//! Omissions are shown in place, with their number. Nothing recurses: tree depth is unbounded.

use std::collections::{HashMap, VecDeque};

use serde_json::{Value, json};

use super::{
    TreeName,
    exit::{Exit, Failure},
    member_on_server::{find_on_server, user_id},
    names::find_member,
    remote::Remote,
    screen,
    source::{self, Source},
};
use crate::core::{
    state::State,
    types::{MemberIx, Tree},
};

/// Default depth: with three children each some forty lines.
const DEPTH_DEFAULT: u32 = 3;
/// Default member limit: a few screens.
const LIMIT_DEFAULT: u32 = 100;
/// Beyond this a drawing is useless: `export` and `dot` write everything.
const LIMIT_MAX: u32 = 10_000;
const DEPTH_MAX: u32 = 1_000;
/// One member's children never take more than this fraction of the drawing, so that a wide member does not
/// hide the others.
const SIBLINGS_PART: u32 = 4;
const SIBLINGS_MIN: u32 = 5;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Begin with this member (UUID, name or referral code) instead of with the roots
    member: Option<String>,
    #[command(flatten)]
    source: source::Args,
    #[arg(long, value_enum, default_value = "placement")]
    tree: TreeName,
    /// Levels below the top, at most 1,000
    #[arg(
        long, value_name = "LEVELS", default_value_t = DEPTH_DEFAULT,
        value_parser = clap::value_parser!(u32).range(0..=i64::from(DEPTH_MAX))
    )]
    depth: u32,
    /// Members to draw, nearest first, at most 10,000
    #[arg(
        long, value_name = "MEMBERS", default_value_t = LIMIT_DEFAULT,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(LIMIT_MAX))
    )]
    limit: u32,
    /// Draw with ASCII characters alone, as is done where TERM is dumb
    #[arg(long)]
    ascii: bool,
    /// One JSON object on the last line of standard output
    #[arg(long)]
    json: bool,
}

/// One member of a drawing.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Node {
    user_id: String,
    code: String,
    rank: Option<String>,
    status: String,
    slot: u32,
    /// Number of children.
    direct: u64,
    /// Size of the downline, where the plan counts this tree.
    downline: Option<u64>,
    /// Drawn children, in slot order.
    children: Vec<usize>,
    /// Free slots, as first and last of each run; for members whose children are drawn.
    free: Vec<(u32, u32)>,
}

/// The contents of a drawing.
#[derive(Default)]
struct Drawing {
    nodes: Vec<Node>,
    tops: Vec<usize>,
    /// Hidden roots, as far as they were counted.
    tops_hidden: u64,
    /// There are more hidden roots than were counted.
    has_more_tops: bool,
    /// LSN of the drawing; `None` where it was read from several states.
    lsn: Option<u64>,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let drawing = match args.source.open()? {
        Source::Directory(loaded) => {
            let state = &loaded.state;
            let top = match &args.member {
                Some(text) => Some(find_member(state, &loaded.directory, text)?),
                None => None,
            };
            of_state(state, top, args)
        }
        Source::Server(remote) => of_server(&remote, args)?,
    };
    if args.json {
        return screen::say(&as_json(&drawing, args).to_string());
    }
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let signs = if args.ascii || is_dumb { &ASCII } else { &BOXES };
    screen::say_bytes(draw(&drawing, signs).as_bytes())
}

// --- choosing what is drawn

fn siblings_max(limit: u32) -> u32 {
    (limit / SIBLINGS_PART).max(SIBLINGS_MIN).min(limit)
}

fn of_state(state: &State, top: Option<MemberIx>, args: &Args) -> Drawing {
    let tree = args.tree.tree();
    let (limit, siblings) = (args.limit as usize, siblings_max(args.limit) as usize);
    let is_root = |member: &MemberIx| state.member(*member).parent.is_none();
    let (tops, roots) = match top {
        Some(top) => (vec![top], 1),
        None => {
            // One pass over all members: roots are not indexed.
            let roots = (0..state.len()).map(MemberIx).filter(is_root);
            (roots.clone().take(siblings).collect(), roots.count() as u64)
        }
    };
    let mut drawing = Drawing { lsn: Some(state.lsn()), ..Drawing::default() };
    let mut queue = VecDeque::new();
    for top in tops {
        drawing.tops.push(drawing.nodes.len());
        queue.push_back((top, drawing.nodes.len(), 0));
        drawing.nodes.push(node(state, tree, top));
    }
    drawing.tops_hidden = roots - drawing.tops.len() as u64;
    while let Some((member, at, level)) = queue.pop_front() {
        if args.depth <= level {
            continue;
        }
        let room = limit.saturating_sub(drawing.nodes.len()).min(siblings);
        for child in state.children(tree, member).take(room) {
            let index = drawing.nodes.len();
            drawing.nodes[at].children.push(index);
            drawing.nodes.push(node(state, tree, child));
            queue.push_back((child, index, level + 1));
        }
        if tree == Tree::Placement && drawing.nodes[at].children.len() as u64 == drawing.nodes[at].direct {
            drawing.nodes[at].free = free_slots(state, member);
        }
    }
    drawing
}

fn node(state: &State, tree: Tree, index: MemberIx) -> Node {
    let member = state.member(index);
    Node {
        user_id: member.id.to_string(),
        code: state.code(index).as_str().into(),
        rank: state.plan().ranks.name_of(state.rank(index).paid_as),
        status: member.status.name().into(),
        slot: state.slot_in(tree, index),
        direct: state.direct(tree, index).into(),
        downline: state.downline(tree, index).map(u64::from),
        children: Vec::new(),
        free: Vec::new(),
    }
}

/// Returns the free slots below a member as runs. None where the width is unlimited.
fn free_slots(state: &State, member: MemberIx) -> Vec<(u32, u32)> {
    let Some(width) = state.plan().placement.width else { return Vec::new() };
    let taken = state.children(Tree::Placement, member).map(|child| state.member(child).slot);
    runs_between(taken, width.into())
}

/// Returns the runs of `0..width` that are not in `taken`, which is ascending.
fn runs_between(taken: impl Iterator<Item = u32>, width: u32) -> Vec<(u32, u32)> {
    let mut runs = Vec::new();
    let mut next = 0;
    for slot in taken.chain([width]) {
        if next < slot {
            runs.push((next, slot - 1));
        }
        next = slot + 1;
    }
    runs
}

fn no_tree() -> Failure {
    Failure::new(Exit::Refused, "the server's answer is no part of a tree: is it an upline server?")
}

fn of_server(remote: &Remote, args: &Args) -> Result<Drawing, Failure> {
    match &args.member {
        Some(text) => {
            let (member, _) = find_on_server(remote, text)?;
            let answer = remote.get(&window_path(user_id(&member)?, args, args.limit))?;
            let drawing = read_window(&answer.body, args.depth).ok_or_else(no_tree)?;
            Ok(Drawing { lsn: answer.lsn, ..drawing })
        }
        None => of_roots(remote, args),
    }
}

fn window_path(top: &str, args: &Args, limit: u32) -> String {
    let (tree, depth, siblings) = (tree_name(args), args.depth, siblings_max(args.limit).min(limit));
    format!("/v1/members/{top}/tree?tree={tree}&depth={depth}&limit={limit}&siblings={siblings}")
}

fn tree_name(args: &Args) -> &'static str {
    if args.tree == TreeName::Placement { "placement" } else { "sponsor" }
}

/// Draws the roots of a server's network and what is below each, like those of a directory.
fn of_roots(remote: &Remote, args: &Args) -> Result<Drawing, Failure> {
    let roots = Roots::ask(remote, siblings_max(args.limit) as usize)?;
    // The roots come first in a drawing. The room left for those below is no less for one window than for all
    // of them.
    let shown = u32::try_from(roots.first.len()).expect("no more than a drawing has");
    let limit = args.limit + 1 - shown.clamp(1, args.limit);
    let mut lsns = vec![roots.lsn];
    let mut windows = Vec::with_capacity(roots.first.len());
    for root in &roots.first {
        let answer = remote.get(&window_path(root, args, limit))?;
        lsns.push(answer.lsn);
        windows.push(read_window(&answer.body, args.depth).ok_or_else(no_tree)?);
    }
    lsns.dedup();
    let lsn = if let [lsn] = lsns[..] { lsn } else { None };
    let drawing =
        Drawing { tops_hidden: roots.hidden, has_more_tops: roots.has_more, lsn, ..Drawing::default() };
    Ok(side_by_side(drawing, &windows, args.limit as usize))
}

/// The roots of a server's network.
struct Roots {
    /// Ids of the first roots.
    first: Vec<String>,
    /// The number of others counted, and whether there are more than that.
    hidden: u64,
    has_more: bool,
    lsn: Option<u64>,
}

/// Rows per page, and pages read to count the hidden roots. Each page examines at most a million members.
const ROOTS_PAGE: usize = 1_000;
const ROOTS_PAGES_MAX: usize = 32;

impl Roots {
    /// Fetches the first `most` roots, and counts the others.
    fn ask(remote: &Remote, most: usize) -> Result<Self, Failure> {
        let mut roots = Self { first: Vec::new(), hidden: 0, has_more: false, lsn: None };
        let mut cursor = String::new();
        let mut counting = 0;
        loop {
            let limit = if roots.first.len() < most { most - roots.first.len() } else { ROOTS_PAGE };
            let answer =
                remote.get(&format!("/v1/members?roots=true&limit={}{cursor}", limit.min(ROOTS_PAGE)))?;
            let rows = answer.body["items"].as_array().ok_or_else(no_tree)?;
            // The drawing is as of the page with the last drawn root.
            if roots.first.len() < most {
                roots.lsn = answer.lsn;
            } else {
                counting += 1;
            }
            for row in rows {
                if roots.first.len() < most {
                    roots.first.push(user_id(row)?.to_owned());
                } else {
                    roots.hidden += 1;
                }
            }
            let Some(next) = answer.body["next"].as_str() else { return Ok(roots) };
            if counting == ROOTS_PAGES_MAX {
                return Ok(Self { has_more: true, ..roots });
            }
            cursor = format!("&cursor={next}");
        }
    }
}

/// Merges several windows into one drawing within the limit: nearest to the tops first, as in the drawing of
/// a directory.
fn side_by_side(mut drawing: Drawing, windows: &[Drawing], limit: usize) -> Drawing {
    // Position in the drawing, window, position in the window.
    let mut queue = VecDeque::new();
    let taken = |node: &Node| Node { children: Vec::new(), free: Vec::new(), ..node.clone() };
    for (window, of) in windows.iter().enumerate() {
        drawing.tops.push(drawing.nodes.len());
        queue.push_back((drawing.nodes.len(), window, 0));
        drawing.nodes.push(taken(&of.nodes[0]));
    }
    while let Some((at, window, place)) = queue.pop_front() {
        let node = &windows[window].nodes[place];
        for child in &node.children {
            if limit <= drawing.nodes.len() {
                break;
            }
            let index = drawing.nodes.len();
            drawing.nodes[at].children.push(index);
            drawing.nodes.push(taken(&windows[window].nodes[*child]));
            queue.push_back((index, window, *child));
        }
        if drawing.nodes[at].children.len() as u64 == node.direct {
            drawing.nodes[at].free.clone_from(&node.free);
        }
    }
    drawing
}

/// Parses the window that a server sent: its nodes, parents before children.
fn read_window(body: &Value, depth: u32) -> Option<Drawing> {
    let mut drawing = Drawing { tops: vec![0], ..Drawing::default() };
    let mut places: HashMap<&str, usize> = HashMap::new();
    for node in body["nodes"].as_array()? {
        let number = |key: &str| node[key].as_u64();
        let text = |key: &str| node[key].as_str();
        let at = drawing.nodes.len();
        if let Some(above) = text("above") {
            let above = *places.get(above)?;
            drawing.nodes[above].children.push(at);
        }
        places.insert(text("user_id")?, at);
        // As in the drawing of a directory: free slots only where all children are drawn.
        let is_open = number("depth")? < depth.into() && number("hidden")? == 0;
        drawing.nodes.push(Node {
            user_id: text("user_id")?.into(),
            code: text("code")?.into(),
            rank: node["rank"]["name"].as_str().map(str::to_owned),
            status: text("status")?.into(),
            slot: u32::try_from(number("slot")?).ok()?,
            direct: number("direct")?,
            downline: number("downline"),
            children: Vec::new(),
            free: if is_open { named_free(node) } else { Vec::new() },
        });
    }
    (!drawing.nodes.is_empty()).then_some(drawing)
}

/// Returns the free slots that a server lists, as runs. It lists the lowest sixteen: for very wide members
/// the rest is not drawn.
fn named_free(node: &Value) -> Vec<(u32, u32)> {
    let named = node["empty_slots"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for slot in named.iter().filter_map(|slot| u32::try_from(slot.as_u64()?).ok()) {
        match runs.last_mut() {
            Some(run) if run.1 + 1 == slot => run.1 = slot,
            _ => runs.push((slot, slot)),
        }
    }
    runs
}

// --- drawing

/// The pieces of lines, each of the same width.
struct Signs {
    between: &'static str,
    last: &'static str,
    down: &'static str,
    blank: &'static str,
    more: &'static str,
}

const BOXES: Signs = Signs { between: "├─ ", last: "└─ ", down: "│  ", blank: "   ", more: "…" };
const ASCII: Signs = Signs { between: "|- ", last: "`- ", down: "|  ", blank: "   ", more: "..." };

/// A pending line: a member, or a note about omissions.
enum Line {
    Member(usize),
    Words(String),
}

fn draw(drawing: &Drawing, signs: &Signs) -> String {
    let mut out = String::new();
    if drawing.tops.is_empty() {
        out += "no members\n";
    }
    // Pending lines, last first, with the prefix of each and of those below it.
    let mut stack: Vec<(Line, String, String)> = Vec::new();
    if drawing.tops_hidden != 0 || drawing.has_more_tops {
        let least = if drawing.has_more_tops { "more than " } else { "" };
        let words = format!("{} and {least}{} more roots", signs.more, screen::grouped(drawing.tops_hidden));
        stack.push((Line::Words(words), String::new(), String::new()));
    }
    stack.extend(drawing.tops.iter().rev().map(|top| (Line::Member(*top), String::new(), String::new())));
    while let Some((line, before, below)) = stack.pop() {
        out += &before;
        let at = match line {
            Line::Words(words) => {
                out += &words;
                out.push('\n');
                continue;
            }
            Line::Member(at) => at,
        };
        out += &label(&drawing.nodes[at]);
        out.push('\n');
        let lines = lines_below(drawing, at, signs);
        let last = lines.len().saturating_sub(1);
        for (position, line) in lines.into_iter().enumerate().rev() {
            let (own, further) =
                if position == last { (signs.last, signs.blank) } else { (signs.between, signs.down) };
            stack.push((line, format!("{below}{own}"), format!("{below}{further}")));
        }
    }
    out
}

/// Returns the lines below a member: its children and free slots in slot order, then the number of hidden
/// ones.
fn lines_below(drawing: &Drawing, at: usize, signs: &Signs) -> Vec<Line> {
    let node = &drawing.nodes[at];
    let mut free = node.free.iter().peekable();
    let mut lines = Vec::new();
    let words = |(first, last): (u32, u32)| match last - first {
        0 => Line::Words(format!("(slot {first} free)")),
        _ => Line::Words(format!("(slots {first} to {last} free)")),
    };
    for child in &node.children {
        while let Some(run) = free.next_if(|run| run.0 < drawing.nodes[*child].slot) {
            lines.push(words(*run));
        }
        lines.push(Line::Member(*child));
    }
    lines.extend(free.map(|run| words(*run)));
    let hidden = node.direct - (node.children.len() as u64).min(node.direct);
    if hidden != 0 && !node.children.is_empty() {
        lines.push(Line::Words(format!("{} and {} more", signs.more, screen::grouped(hidden))));
    }
    lines
}

/// Formats code, rank, status if not active, and the downline.
fn label(node: &Node) -> String {
    let mut label = node.code.clone();
    if let Some(rank) = &node.rank {
        label += &format!("  {rank}");
    }
    if node.status != "active" {
        label += &format!("  {}", node.status);
    }
    match node.downline {
        Some(0) => {}
        Some(downline) => label += &format!("  {} below", screen::grouped(downline)),
        None if node.direct == 0 => {}
        None => label += &format!("  {} directly below", screen::grouped(node.direct)),
    }
    label
}

/// Returns the members in breadth-first order: tops, then their children, and so on.
fn as_json(drawing: &Drawing, args: &Args) -> Value {
    let mut parents = vec![None; drawing.nodes.len()];
    for (at, node) in drawing.nodes.iter().enumerate() {
        node.children.iter().for_each(|child| parents[*child] = Some(at));
    }
    let nodes = drawing.nodes.iter().zip(parents).map(|(node, parent)| {
        json!({
            "user_id": node.user_id,
            "code": node.code,
            "above": parent.map(|parent: usize| &drawing.nodes[parent].user_id),
            "slot": node.slot,
            "rank": node.rank,
            "status": node.status,
            "direct": node.direct,
            "downline": node.downline,
            "hidden": node.direct - (node.children.len() as u64).min(node.direct),
            "free_slots": node.free,
        })
    });
    json!({
        "command": "tree",
        "tree": tree_name(args),
        "lsn": drawing.lsn,
        "members": nodes.collect::<Vec<_>>(),
        "roots_hidden": drawing.tops_hidden,
        "roots_hidden_is_all": !drawing.has_more_tops,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(code: &str, slot: u32, direct: u64, children: &[usize]) -> Node {
        Node {
            user_id: code.into(),
            code: code.into(),
            rank: (code == "a").then(|| "Gold".into()),
            status: if code == "c" { "inactive" } else { "active" }.into(),
            slot,
            direct,
            downline: Some(direct),
            children: children.to_vec(),
            free: vec![],
        }
    }

    #[test]
    fn trees_are_drawn_with_what_is_not_shown() {
        let mut nodes = vec![
            node("a", 0, 1_250, &[1, 2]),
            node("b", 0, 1, &[3]),
            node("c", 2, 7, &[]),
            node("d", 1, 0, &[]),
        ];
        nodes[1].free = vec![(0, 0), (2, 4)];
        let drawing = Drawing { nodes, tops: vec![0], tops_hidden: 1, ..Drawing::default() };
        let expected = "\
a  Gold  1,250 below
├─ b  1 below
│  ├─ (slot 0 free)
│  ├─ d
│  └─ (slots 2 to 4 free)
├─ c  inactive  7 below
└─ … and 1,248 more
… and 1 more roots
";
        assert_eq!(draw(&drawing, &BOXES), expected);
        assert!(draw(&drawing, &ASCII).is_ascii());
    }

    #[test]
    fn free_slots_are_what_is_between_the_taken() {
        type Row<'a> = (&'a [u32], u32, &'a [(u32, u32)]);
        // taken, width, free runs
        let table: [Row<'_>; 5] = [
            (&[], 3, &[(0, 2)]),
            (&[0, 1, 2], 3, &[]),
            (&[1], 3, &[(0, 0), (2, 2)]),
            (&[0], 1_000, &[(1, 999)]),
            (&[2], 3, &[(0, 1)]),
        ];
        for (taken, width, expected) in table {
            assert_eq!(runs_between(taken.iter().copied(), width), expected, "{taken:?} of {width}");
        }
    }

    /// A drawing a hundred thousand levels deep needs no recursion; its size is bounded by the limits of the
    /// command.
    #[test]
    fn deep_trees_take_no_recursion() {
        let nodes = (0..2_000)
            .map(|at| node("x", 0, 1, if at == 1_999 { &[] } else { std::slice::from_ref(&CHAIN[at + 1]) }))
            .collect();
        let text = draw(&Drawing { nodes, tops: vec![0], ..Drawing::default() }, &ASCII);
        assert_eq!(text.lines().count(), 2_000);
    }

    const CHAIN: [usize; 2_000] = {
        let mut chain = [0; 2_000];
        let mut at = 0;
        while at < 2_000 {
            chain[at] = at;
            at += 1;
        }
        chain
    };
}
