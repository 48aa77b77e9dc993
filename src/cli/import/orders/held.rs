//! Orders of an export, which are held until all are read: they come in in the order in which they were
//! placed, whatever that of the file is.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    os::unix::fs::FileExt,
};

use crate::cli::exit::{Exit, Failure};

/// Texts in a file of the system's temporary directory that has no name, and 32 bytes of memory for each.
#[derive(Default)]
pub struct Held {
    file: Option<BufWriter<File>>,
    end: u64,
    places: Vec<Place>,
}

struct Place {
    /// The command that placed the order in its network.
    lsn: u64,
    /// The line of the file on which it is.
    line: u64,
    /// Where it is in the temporary file.
    offset: u64,
    bytes: usize,
}

impl Held {
    /// Holds the order that a command placed, and that is on a line of the file.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn hold(&mut self, lsn: u64, line: u64, text: &[u8]) -> Result<(), Failure> {
        self.write(text).map_err(|error| failure(&error))?;
        self.places.push(Place { lsn, line, offset: self.end, bytes: text.len() });
        self.end += text.len() as u64;
        Ok(())
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(BufWriter::with_capacity(1 << 18, tempfile::tempfile()?)),
        };
        file.write_all(text)
    }

    /// Hands on the orders with their lines, in the order of their commands.
    ///
    /// # Errors
    /// When they cannot be read again, and errors of `each`.
    pub fn each(self, mut each: impl FnMut(u64, &[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
        let Self { file, mut places, .. } = self;
        let Some(file) = file else { return Ok(()) };
        let file = file.into_inner().map_err(|error| failure(error.error()))?;
        // Stable: orders that claim one command stay in the order of the file.
        places.sort_by_key(|place| place.lsn);
        let mut text = Vec::new();
        for Place { line, offset, bytes, .. } in places {
            text.resize(bytes, 0);
            file.read_exact_at(&mut text, offset).map_err(|error| failure(&error))?;
            each(line, &text)?;
        }
        Ok(())
    }
}

fn failure(error: &io::Error) -> Failure {
    let message = format!(
        "orders of an export are held in {} until all are read, and that failed: {error}",
        std::env::temp_dir().display()
    );
    Failure::new(Exit::Failed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_in_the_order_of_their_commands() {
        let mut held = Held::default();
        let orders = [(7, 1, "seven"), (3, 2, ""), (9, 3, "nine"), (3, 4, "three again")];
        for (lsn, line, text) in orders {
            held.hold(lsn, line, text.as_bytes()).unwrap();
        }
        let mut seen = Vec::new();
        held.each(|line, text| {
            seen.push((line, String::from_utf8(text.to_vec()).unwrap()));
            Ok(())
        })
        .unwrap();
        let expected = [(2, ""), (4, "three again"), (1, "seven"), (3, "nine")];
        assert_eq!(seen, expected.map(|(line, text)| (line, text.to_owned())));
        Held::default().each(|_, _| unreachable!("there is none")).unwrap();
    }
}
