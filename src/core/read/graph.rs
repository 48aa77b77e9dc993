//! Implements petgraph's visit traits on a view of either tree of the live arena, without a copy.
//!
//! Nodes are members, an edge goes from a parent to its child and is identified by the child. petgraph's
//! iterative algorithms (`Dfs`, `Bfs`, `toposort`, `dominators::simple_fast`, `Dot`) are safe at any depth;
//! its recursive ones (`is_cyclic_directed`, `depth_first_search`, `tarjan_scc`) overflow the stack on deep
//! trees and must not be used on a view.

use std::collections::HashSet;

use petgraph::{
    Directed, Direction,
    visit::{
        Data, EdgeRef, GraphBase, GraphProp, GraphRef, IntoEdgeReferences, IntoEdges, IntoNeighbors,
        IntoNeighborsDirected, IntoNodeIdentifiers, IntoNodeReferences, NodeCompactIndexable, NodeCount,
        NodeIndexable, Visitable,
    },
};

use crate::core::{
    state::parts::State,
    words::types::{MemberId, MemberIx, Tree},
};

/// One tree of a state as a petgraph graph. Cheap to copy.
#[derive(Clone, Copy)]
pub struct View<'state> {
    state: &'state State,
    tree: Tree,
}

impl State {
    /// This state's tree as a graph.
    pub fn graph(&self, tree: Tree) -> View<'_> {
        View { state: self, tree }
    }
}

/// The edge from a parent to this member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Edge {
    from: MemberIx,
    to: MemberIx,
}

impl EdgeRef for Edge {
    type NodeId = MemberIx;
    type EdgeId = MemberIx;
    type Weight = ();

    fn source(&self) -> MemberIx {
        self.from
    }

    fn target(&self) -> MemberIx {
        self.to
    }

    fn weight(&self) -> &() {
        &()
    }

    fn id(&self) -> MemberIx {
        self.to
    }
}

impl GraphBase for View<'_> {
    type NodeId = MemberIx;
    type EdgeId = MemberIx;
}

impl GraphRef for View<'_> {}

impl GraphProp for View<'_> {
    type EdgeType = Directed;
}

impl Data for View<'_> {
    type NodeWeight = MemberId;
    type EdgeWeight = ();
}

impl NodeCount for View<'_> {
    fn node_count(&self) -> usize {
        self.state.len() as usize
    }
}

impl NodeIndexable for View<'_> {
    fn node_bound(&self) -> usize {
        self.node_count()
    }

    fn to_index(&self, member: MemberIx) -> usize {
        member.at()
    }

    fn from_index(&self, index: usize) -> MemberIx {
        crate::core::words::types::index(index)
    }
}

impl NodeCompactIndexable for View<'_> {}

impl Visitable for View<'_> {
    type Map = HashSet<MemberIx>;

    fn visit_map(&self) -> Self::Map {
        HashSet::new()
    }

    fn reset_map(&self, map: &mut Self::Map) {
        map.clear();
    }
}

type Members<'state> = Box<dyn Iterator<Item = MemberIx> + 'state>;

impl<'state> IntoNeighbors for View<'state> {
    type Neighbors = Members<'state>;

    fn neighbors(self, member: MemberIx) -> Members<'state> {
        Box::new(self.state.children(self.tree, member))
    }
}

impl<'state> IntoNeighborsDirected for View<'state> {
    type NeighborsDirected = Members<'state>;

    fn neighbors_directed(self, member: MemberIx, direction: Direction) -> Members<'state> {
        match direction {
            Direction::Outgoing => self.neighbors(member),
            Direction::Incoming => Box::new(self.state.upline(self.tree, member).take(1)),
        }
    }
}

impl<'state> IntoNodeIdentifiers for View<'state> {
    type NodeIdentifiers = Members<'state>;

    fn node_identifiers(self) -> Members<'state> {
        Box::new((0..self.state.len()).map(MemberIx))
    }
}

impl<'state> IntoNodeReferences for View<'state> {
    type NodeRef = (MemberIx, &'state MemberId);
    type NodeReferences = Box<dyn Iterator<Item = Self::NodeRef> + 'state>;

    fn node_references(self) -> Self::NodeReferences {
        Box::new(self.node_identifiers().map(move |member| (member, self.state.network.members().id(member))))
    }
}

impl<'state> IntoEdgeReferences for View<'state> {
    type EdgeRef = Edge;
    type EdgeReferences = Box<dyn Iterator<Item = Edge> + 'state>;

    fn edge_references(self) -> Self::EdgeReferences {
        let edge_to = move |member: MemberIx| {
            self.state.upline(self.tree, member).next().map(|from| Edge { from, to: member })
        };
        Box::new(self.node_identifiers().filter_map(edge_to))
    }
}

impl<'state> IntoEdges for View<'state> {
    type Edges = Box<dyn Iterator<Item = Edge> + 'state>;

    fn edges(self, member: MemberIx) -> Self::Edges {
        Box::new(self.state.children(self.tree, member).map(move |child| Edge { from: member, to: child }))
    }
}
