//! Rules about the project's text: layering, that each kind of thing is wired everywhere, that the deliberate
//! faults still apply, that lines are narrow. Needs nothing from the crate, and reads the files as they are.

mod faults;
mod imports;
mod layers;
mod widths;
mod wiring;
