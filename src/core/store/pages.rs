//! The kept pages of one region: what frozen views still need of pages that have changed since.
//!
//! Each page is kept once for all views that need it. It stands in the table of the newest of these; a view
//! looks in its own table first, then in those of later views. What is in none has not changed since the view
//! was frozen. When a view ends, the next older one inherits its table, so nothing is copied twice and
//! nothing stays that no view needs.

use crate::core::{
    store::{
        freeing::Freeing,
        region::{Plain, Region},
    },
    words::types::NONE,
};

/// A place is a chunk of the pool and a page in it.
const CHUNK_SHIFT: u32 = 16;

/// The kept pages of a region.
pub(in crate::core) struct RegionPages<T: Plain> {
    /// In the order of their views.
    tables: Vec<Table>,
    pool: Pool<T>,
}

struct Table {
    view: u64,
    /// By page, its place in the pool; `NONE` where there is none.
    place_of: Vec<u32>,
}

/// Pages in mappings of their own, which go back to the system together.
struct Pool<T: Plain> {
    chunks: Vec<Region<T>>,
    /// Places to be used again.
    free: Vec<u32>,
}

impl<T: Plain> Default for RegionPages<T> {
    fn default() -> Self {
        Self { tables: Vec::new(), pool: Pool { chunks: Vec::new(), free: Vec::new() } }
    }
}

impl<T: Plain> RegionPages<T> {
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    pub fn has_table(&self, view: u64) -> bool {
        self.tables.iter().any(|table| table.view == view)
    }

    /// Keeps a page that is about to change, unless what `view` and older views see is kept already. `view`
    /// is the newest that needs the page and has `pages` pages here; `rows` are those of the page, of at most
    /// `page_rows`.
    pub fn keep(&mut self, view: u64, (page, pages): (usize, usize), rows: &[T], page_rows: usize) {
        if self.place(view, page).is_some() {
            return;
        }
        let at = self.tables.partition_point(|table| table.view < view);
        if self.tables.get(at).is_none_or(|table| table.view != view) {
            self.tables.insert(at, Table { view, place_of: vec![NONE; pages] });
        }
        self.tables[at].place_of[page] = self.pool.keep(rows, page_rows, pages);
    }

    /// The page as `view` sees it, or `None` if it has not changed since. O(views).
    #[inline]
    pub fn page(&self, view: u64, page: usize, page_rows: usize) -> Option<&[T]> {
        if self.tables.is_empty() {
            return None;
        }
        self.place(view, page).map(|place| self.pool.page(place, page_rows))
    }

    fn place(&self, view: u64, page: usize) -> Option<u32> {
        let later = self.tables.iter().filter(|table| view <= table.view);
        later.filter_map(|table| table.place_of.get(page)).copied().find(|place| *place != NONE)
    }

    /// Pages that some view needs.
    #[cfg(test)]
    pub fn pages(&self) -> usize {
        self.tables.iter().flat_map(|table| &table.place_of).filter(|place| **place != NONE).count()
    }

    /// Pages in memory, used or not.
    #[cfg(test)]
    pub fn resident(&self, page_rows: usize) -> usize {
        self.pool.chunks.iter().map(|chunk| chunk.len() / page_rows).sum()
    }
}

impl<T: Plain> RegionPages<T> {
    /// Takes away the table of a view that needs nothing here any more. `heir` is the next older view that
    /// still needs the region, or has a table; without one, the pages are free. O(1) if the table moves as a
    /// whole or all pages go, else O(pages). Does nothing when `freeing` has no step left.
    pub fn forget(&mut self, view: u64, heir: Option<u64>, freeing: &mut Freeing) {
        let Some(at) = self.tables.iter().position(|table| table.view == view) else { return };
        if !freeing.may_go_on() {
            return;
        }
        let before = at.checked_sub(1).filter(|before| heir == Some(self.tables[*before].view));
        match (heir, before) {
            (Some(heir), None) => self.tables[at].view = heir,
            (Some(_), Some(before)) => {
                let Table { place_of, .. } = self.tables.remove(at);
                freeing.took(place_of.len());
                let inherited = &mut self.tables[before].place_of;
                for (page, place) in place_of.into_iter().enumerate().filter(|(_, place)| *place != NONE) {
                    match inherited.get_mut(page) {
                        Some(own) if *own == NONE => *own = place,
                        _ => self.pool.free.push(place),
                    }
                }
            }
            (None, _) => {
                let Table { place_of, .. } = self.tables.remove(at);
                if self.tables.is_empty() {
                    freeing.push(Box::new(std::mem::take(self)));
                    return;
                }
                freeing.took(place_of.len());
                self.pool.free.extend(place_of.into_iter().filter(|place| *place != NONE));
            }
        }
    }
}

impl<T: Plain> Pool<T> {
    /// Stores a page, where one was freed or in a chunk of `pages` pages.
    fn keep(&mut self, rows: &[T], page_rows: usize, pages: usize) -> u32 {
        if let Some(place) = self.free.pop() {
            let (chunk, first) =
                (place >> CHUNK_SHIFT, (place & ((1 << CHUNK_SHIFT) - 1)) as usize * page_rows);
            self.chunks[chunk as usize][first..first + rows.len()].copy_from_slice(rows);
            return place;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.room() - chunk.len() < page_rows) {
            self.chunks.push(Region::sparse(pages * page_rows));
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        let page = chunk.len() / page_rows;
        chunk.extend_from_slice(rows);
        // A view may end within its last page.
        if let (true, Some(last)) = (rows.len() < page_rows, rows.last()) {
            chunk.resize((page + 1) * page_rows, *last);
        }
        u32::try_from(number << CHUNK_SHIFT | page)
            .expect("few views, and fewer pages than a region has bytes")
    }

    fn page(&self, place: u32, page_rows: usize) -> &[T] {
        let first = (place & ((1 << CHUNK_SHIFT) - 1)) as usize * page_rows;
        &self.chunks[(place >> CHUNK_SHIFT) as usize][first..first + page_rows]
    }
}
