//! Memory to be freed outside of a lock, and a bound on the work of gathering it.

use std::any::Any;

/// Pages and columns to be dropped: freeing them takes time, and should not happen under a lock.
pub(crate) struct Freeing {
    memory: Vec<Box<dyn Any + Send + Sync>>,
    /// Small steps that may still be taken.
    steps: usize,
}

impl Freeing {
    /// Gathers everything, however long it takes.
    pub fn new() -> Self {
        Self::within(usize::MAX)
    }

    /// Gathers in about this many small steps.
    pub fn within(steps: usize) -> Self {
        Self { memory: Vec::new(), steps }
    }

    pub fn push(&mut self, memory: Box<dyn Any + Send + Sync>) {
        self.memory.push(memory);
    }

    /// Adds memory of one kind.
    pub fn extend<M: Any + Send + Sync>(&mut self, memory: impl IntoIterator<Item = M>) {
        self.memory.extend(memory.into_iter().map(|memory| Box::new(memory) as Box<dyn Any + Send + Sync>));
    }

    pub fn is_empty(&self) -> bool {
        self.memory.is_empty()
    }

    /// Counts work that was done.
    pub fn took(&mut self, steps: usize) {
        self.steps = self.steps.saturating_sub(steps);
    }

    /// Whether a step is left. If not, work remains to be done later.
    pub fn may_go_on(&self) -> bool {
        self.steps != 0
    }
}
