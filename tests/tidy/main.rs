//! Rules about the project's text: which layer may know what, that each kind of thing is wired everywhere, that
//! the deliberate faults still apply. Needs nothing of the crate, and reads the files as they are.

mod faults;
mod imports;
mod layers;
mod wiring;
