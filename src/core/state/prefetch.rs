//! Prefetching of what a group of commands will touch, for all of them together: `network/prefetch.rs` says
//! why.

use std::hint::black_box;

use crate::core::{
    network::prefetch::{PREFETCH_FROM_MEMBERS, TOGETHER},
    requests::command::{Command, PlaceOrder, Stamped},
    state::parts::State,
    words::{
        directory::Directory,
        types::{MemberId, MemberIx, Tree},
    },
};

impl State {
    /// Prefetches what applying `commands` will touch. Changes nothing. O(commands).
    pub fn prefetch<D: Directory>(&self, directory: &D, commands: &[Stamped]) {
        if self.network.members().len() < PREFETCH_FROM_MEMBERS {
            return;
        }
        let mut members = Vec::with_capacity(TOGETHER);
        for together in commands.chunks(TOGETHER) {
            self.network.prefetch(directory, together, &mut members);
            black_box(self.prefetch_payments(directory, together, &mut members));
            let orders = together.iter().filter_map(|stamped| match &stamped.command {
                Command::PlaceOrder(order) => Some(&**order),
                _ => None,
            });
            self.prefetch_together(directory, orders, &mut members);
        }
    }

    /// Prefetches what placing some orders will touch: [`TOGETHER`] at most. Changes nothing. O(orders).
    pub fn prefetch_orders<'o, D: Directory>(
        &self,
        directory: &D,
        orders: impl Iterator<Item = &'o PlaceOrder> + Clone,
    ) {
        if PREFETCH_FROM_MEMBERS <= self.network.members().len() {
            self.prefetch_together(directory, orders, &mut Vec::with_capacity(TOGETHER));
        }
    }

    /// Prefetches members with these ids and what is changed when others are attached below them. Changes
    /// nothing. O(ids).
    pub fn prefetch_named<'a, D: Directory>(&self, directory: &D, ids: impl Iterator<Item = &'a MemberId>) {
        let rows = self.network.members();
        if rows.len() < PREFETCH_FROM_MEMBERS {
            return;
        }
        let mut members = Vec::with_capacity(3 * TOGETHER);
        directory.candidates(ids, &mut members);
        members.retain(|member| member.at() < rows.len());
        let ids = members.iter().fold(0, |seen, member| seen ^ rows.prefetch(*member));
        let trees = [Tree::Placement, Tree::Sponsor]
            .into_iter()
            .filter(|tree| *tree == self.network.kept_tree(*tree));
        let columns = members.iter().map(|member| MemberIx::to_column(Some(*member)));
        black_box(trees.fold(ids, |seen, tree| seen ^ self.tree(tree).prefetch_uncounted(columns.clone())));
    }

    /// Finds members, as [`State::find`] does one by one, and prefetches their accounts: each step is made
    /// for all of them before the next one. O(ids).
    pub fn find_receivers<D: Directory>(&self, directory: &D, ids: &[MemberId]) -> Vec<Option<MemberIx>> {
        let rows = self.network.members();
        let may_be = |id: &MemberId| directory.member(id, |_| true).filter(|member| member.at() < rows.len());
        let mut members: Vec<Option<MemberIx>> = ids.iter().map(may_be).collect();
        for (member, id) in members.iter_mut().zip(ids) {
            if member.is_none_or(|member| !rows.is(member, id)) {
                *member = self.find(directory, id);
            }
        }
        let accounts = || members.iter().filter_map(|member| rows.account((*member)?));
        black_box(accounts().fold(0, |seen, account| seen ^ self.ledger.accounts().prefetch(account)));
        members
    }

    /// Reads what the bonus triggers of a group touch: the receivers, and their accounts. `members` is memory
    /// to work in. The result is meaningless.
    fn prefetch_payments<D: Directory>(
        &self,
        directory: &D,
        group: &[Stamped],
        members: &mut Vec<MemberIx>,
    ) -> u32 {
        let rows = self.network.members();
        let mut seen = 0;
        for tree in [Tree::Placement, Tree::Sponsor] {
            let triggers = || group.iter().filter_map(|stamped| self.trigger_in(tree, &stamped.command));
            let Some(levels) = triggers().map(|(_, levels)| levels).max() else { continue };
            members.clear();
            directory.candidates(triggers().map(|(source, _)| source), members);
            members.retain(|member| member.at() < rows.len());
            let sources = members.len();
            for at in 0..sources {
                members.extend(self.tree(tree).near_upline(members[at], levels).as_slice());
            }
            let receivers = &members[sources..];
            seen ^= receivers.iter().fold(0, |seen, receiver| {
                seen ^ rows.prefetch(*receiver) ^ rows.account(*receiver).unwrap_or_default()
            });
            let accounts = receivers.iter().filter_map(|receiver| rows.account(*receiver));
            seen ^= accounts.fold(0, |seen, account| seen ^ self.ledger.accounts().prefetch(account));
        }
        seen
    }

    /// Reads what orders touch: the table of their ids, the members that they are credited to, and the
    /// volumes of these and of their uplines. `members` is memory to work in.
    fn prefetch_together<'o, D: Directory>(
        &self,
        directory: &D,
        orders: impl Iterator<Item = &'o PlaceOrder> + Clone,
        members: &mut Vec<MemberIx>,
    ) {
        black_box(self.orders.prefetch(orders.clone()));
        members.clear();
        directory.candidates(orders.flat_map(|order| &order.credits).map(|credit| &credit.member), members);
        let rows = self.network.members();
        members.retain(|member| member.at() < rows.len());
        if members.is_empty() {
            return;
        }
        black_box(members.iter().fold(0, |seen, member| {
            seen ^ rows.prefetch_joined(*member) ^ self.orders.prefetch_credit(*member)
        }));
        self.orders.live().prefetch(&self.network.volume_trees(), members);
    }

    /// The source of a trigger that pays along `tree`, and the number of levels that it pays.
    fn trigger_in<'a>(&self, tree: Tree, command: &'a Command) -> Option<(&'a MemberId, usize)> {
        let Command::TriggerBonus(trigger) = command else { return None };
        let position = self.plans.plan().bonus_position(&trigger.trigger)?;
        let rule = &self.plans.plan().bonuses[position];
        (rule.tree == tree).then(|| (&trigger.source, rule.pay.levels()))
    }
}
