//! Wide full families: finds the child that leads to a free slot without checking each.
//!
//! A full family never changes again, so its children are divided once into blocks of [`BLOCK`] slots, each
//! with the least key of its children. Like the runs of `families.rs`, blocks are derived and not part of the
//! state; changing a key builds missing ones. Memory: 8 bytes for 64 children.

use std::collections::BTreeMap;

use crate::core::{
    store::{
        column::{Column, freeze_fields},
        held::holds_nothing,
    },
    tree::{families::WIDE, genealogy::Genealogy, open_key::OpenKey},
    words::types::MemberIx,
};

/// Slots of a block.
const BLOCK: u32 = 64;

#[derive(Default)]
pub(in crate::core) struct FullFamilies {
    families: BTreeMap<u32, Vec<Block>>,
}

struct Block {
    first: u32,
    least: OpenKey,
}

holds_nothing!(Block);

freeze_fields!(FullFamilies {} cached { families });

fn in_block(tree: &Genealogy, first: MemberIx) -> impl Iterator<Item = MemberIx> + '_ {
    tree.siblings_from(first).take(BLOCK as usize)
}

fn least_of(tree: &Genealogy, open: &Column<OpenKey>, first: MemberIx) -> OpenKey {
    in_block(tree, first).map(|child| *open.get(child.at())).min().expect("a block has children")
}

impl FullFamilies {
    /// Makes the blocks of a full family, if it is wide and has none.
    pub fn note(&mut self, tree: &Genealogy, open: Option<&Column<OpenKey>>, parent: MemberIx) {
        if tree.link(parent).children < WIDE || self.families.contains_key(&parent.0) {
            return;
        }
        let firsts = tree.children(parent).step_by(BLOCK as usize);
        let least = |first| open.map_or(OpenKey::here(0), |open| least_of(tree, open, first));
        let blocks = firsts.map(|first| Block { first: first.0, least: least(first) }).collect();
        self.families.insert(parent.0, blocks);
    }

    /// Records the new key of a child of a full family.
    pub fn changed(&mut self, tree: &Genealogy, open: &Column<OpenKey>, parent: MemberIx, child: MemberIx) {
        if let Some(blocks) = self.families.get_mut(&parent.0) {
            let block = &mut blocks[(tree.link(child).slot / BLOCK) as usize];
            block.least = least_of(tree, open, MemberIx(block.first));
        } else {
            self.note(tree, Some(open), parent);
        }
    }

    /// The least key of the children of a full family. O(width / [`BLOCK`]), or O(width) in a copy before the
    /// first key change below it.
    pub fn least(&self, tree: &Genealogy, open: &Column<OpenKey>, parent: MemberIx) -> OpenKey {
        let least = match self.families.get(&parent.0) {
            Some(blocks) => blocks.iter().map(|block| block.least).min(),
            None => tree.children(parent).map(|child| *open.get(child.at())).min(),
        };
        least.expect("a full member has children")
    }

    /// The first child of a full family with the least key, as compared by `is_least`. Cost as
    /// [`FullFamilies::least`].
    pub fn first_with(
        &self,
        tree: &Genealogy,
        open: &Column<OpenKey>,
        parent: MemberIx,
        is_least: impl Fn(OpenKey) -> bool,
    ) -> Option<MemberIx> {
        let leads = |child: &MemberIx| is_least(*open.get(child.at()));
        match self.families.get(&parent.0) {
            Some(blocks) => {
                let block = blocks.iter().find(|block| is_least(block.least))?;
                in_block(tree, MemberIx(block.first)).find(leads)
            }
            None => tree.children(parent).find(leads),
        }
    }

    /// The child in a slot of a full family. O(1), or O(width) in a copy.
    pub fn child_in(&self, tree: &Genealogy, parent: MemberIx, slot: u32) -> Option<MemberIx> {
        let Some(blocks) = self.families.get(&parent.0) else { return tree.child_in(parent, slot) };
        let block = blocks.get((slot / BLOCK) as usize)?;
        tree.siblings_from(MemberIx(block.first)).nth((slot % BLOCK) as usize)
    }
}
