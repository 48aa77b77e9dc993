//! `upline dot`: a tree, or a bounded part of it, in Graphviz's language, rendered by petgraph from the live
//! arena.

use std::{
    collections::{HashSet, VecDeque},
    io::{self, Write},
};

use petgraph::{
    dot::{Config, Dot},
    visit::{GraphProp, GraphRef, IntoEdgeReferences, IntoNodeReferences, NodeFiltered, NodeIndexable},
};
use serde_json::json;

use super::{DataDirArgs, TreeName, exit::Failure, names::find_member, screen};
use crate::{
    core::{
        state::State,
        types::{MemberId, MemberIx, Tree},
    },
    durability::storage::Disk,
    engine,
};

/// Default member limit: about what Graphviz lays out in seconds.
const LIMIT_DEFAULT: u32 = 1_000;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    data_dir: DataDirArgs,
    #[arg(long, value_enum, default_value = "placement")]
    tree: TreeName,
    /// Begin with this member (UUID, name or referral code) instead of with the roots
    #[arg(long, value_name = "MEMBER")]
    root: Option<String>,
    /// Levels below the root or roots
    #[arg(long, value_name = "LEVELS")]
    depth: Option<u32>,
    /// Members to draw, nearest first; 0 draws all
    #[arg(long, value_name = "MEMBERS", default_value_t = LIMIT_DEFAULT)]
    limit: u32,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.data_dir.resolve([].into())?;
    let loaded = engine::load(&Disk::shared(), &config.data_dir, &mut |_| {})?;
    let state = &loaded.state;
    let tree = args.tree.tree();
    let tops: Vec<MemberIx> = match &args.root {
        Some(text) => {
            vec![find_member(state, &loaded.directory, text)?]
        }
        None => {
            (0..state.len()).map(MemberIx).filter(|member| state.member(*member).parent.is_none()).collect()
        }
    };
    let graph = state.graph(tree);
    let mut out = screen::bulk_output();
    let label = |(member, id): (MemberIx, &MemberId)| node_attributes(state, tree, member, *id);
    let drawn = if args.root.is_none() && args.depth.is_none() && args.limit == 0 {
        draw(graph, &mut out, label)
    } else {
        let part = part(state, tree, &tops, args.depth, args.limit);
        if part.more {
            let drawn = screen::counted(part.members.len() as u64, "member");
            screen::tell(&format!("upline: {drawn} drawn, there are more (--limit)"));
        }
        draw(&NodeFiltered(graph, |member| part.members.contains(&member)), &mut out, label)
    };
    drawn.and_then(|()| out.flush()).map_err(|error| screen::output_failure(&error, "standard output"))
}

struct Part {
    members: HashSet<MemberIx>,
    /// Members were left out because of the limit.
    more: bool,
}

/// Returns the members at most `depth` levels below `tops`, nearest first, at most `limit` of them (0 for
/// all).
fn part(state: &State, tree: Tree, tops: &[MemberIx], depth: Option<u32>, limit: u32) -> Part {
    let limit = if limit == 0 { usize::MAX } else { limit as usize };
    let mut part = Part { members: HashSet::new(), more: false };
    let mut queue: VecDeque<(MemberIx, u32)> = tops.iter().map(|top| (*top, 0)).collect();
    while let Some((member, level)) = queue.pop_front() {
        if limit <= part.members.len() {
            part.more = true;
            break;
        }
        part.members.insert(member);
        if depth.is_none_or(|depth| level < depth) {
            // No more children of a wide node than can still be drawn, plus one to detect that there are
            // more.
            let room = (limit - part.members.len()).saturating_add(1);
            queue.extend(state.children(tree, member).take(room).map(|child| (child, level + 1)));
        }
    }
    part
}

fn draw<'s, G>(
    graph: G,
    out: &mut impl Write,
    label: impl Fn((MemberIx, &MemberId)) -> String,
) -> io::Result<()>
where
    G: GraphRef<NodeId = MemberIx>
        + IntoEdgeReferences<EdgeWeight = ()>
        + IntoNodeReferences<NodeWeight = MemberId, NodeRef = (MemberIx, &'s MemberId)>
        + NodeIndexable
        + GraphProp,
{
    let config = [Config::NodeNoLabel, Config::EdgeNoLabel];
    let no_attributes = |_, _| String::new();
    let label = |_, node| label(node);
    writeln!(out, "{:?}", Dot::with_attr_getters(graph, &config, &no_attributes, &label))
}

/// The label has code, rank and downline size; the tooltip has the id.
fn node_attributes(state: &State, tree: Tree, member: MemberIx, id: MemberId) -> String {
    let mut label = state.code(member).into_string();
    if let Some(rank) = state.plan().ranks.name_of(state.rank(member).paid_as) {
        label += &format!("\n{rank}");
    }
    if let Some(downline) = state.downline(tree, member).filter(|downline| *downline != 0) {
        label += &format!("\n{} below", screen::grouped(downline.into()));
    }
    // A JSON string is a valid DOT string: quotes, backslashes and line breaks are escaped alike.
    format!("label = {} tooltip = \"{id}\"", json!(label))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::network::Network,
        core::{
            command::{Command, Origin, PlacementRequest, Register, SponsorRef},
            types::{Role, Timestamp},
        },
        engine::MemberDirectory,
        plan_file, shapes,
    };

    fn network(members: u32) -> Network {
        let state = State::new(plan_file::default_plan(), 1);
        let mut network = Network::new(state, MemberDirectory::with_capacity(0, 0), Timestamp(0));
        for number in 0..members {
            let sponsor =
                if number == 0 { SponsorRef::None } else { SponsorRef::Member(shapes::member_id(0, 0)) };
            let register = Register {
                member: shapes::member_id(0, number),
                sponsor,
                placement: PlacementRequest::PlanDefault,
                code: None,
                role: Role::Member,
                joined_at: None,
                origin: Origin::Signup,
            };
            network.apply(Command::Register(register)).unwrap();
        }
        network
    }

    #[test]
    fn the_whole_tree_has_all_nodes_and_edges() {
        let network = network(13);
        let mut out = Vec::new();
        draw(network.state.graph(Tree::Placement), &mut out, |(member, id)| {
            node_attributes(&network.state, Tree::Placement, member, *id)
        })
        .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("digraph {"), "{text}");
        assert_eq!(text.matches("->").count(), 12);
        assert_eq!(text.matches("label = ").count(), 13);
        assert!(text.contains("Silver\\n12 below"), "{text}");
    }

    #[test]
    fn parts_are_bounded_by_depth_and_number() {
        let network = network(40);
        let state = &network.state;
        let drawn = |depth, limit| {
            let part = part(state, Tree::Placement, &[MemberIx(0)], depth, limit);
            let mut out = Vec::new();
            let graph = NodeFiltered(state.graph(Tree::Placement), |member| part.members.contains(&member));
            draw(&graph, &mut out, |_| String::new()).unwrap();
            (part.members.len(), String::from_utf8(out).unwrap().matches("->").count(), part.more)
        };
        assert_eq!(drawn(Some(1), 0), (4, 3, false));
        assert_eq!(drawn(None, 5), (5, 4, true));
        assert_eq!(drawn(None, 40), (40, 39, false));
        assert_eq!(drawn(Some(0), 1), (1, 0, false));
    }
}
