//! The caller's options for the files: how their columns are found, and how their cells are read.

use super::{
    columns::{BONUS_COLUMNS, MEMBER_COLUMNS},
    layout::{Layout, parse_delimiter},
    reading::Reading,
};
use crate::{
    cli::{
        exit::{Exit, Failure},
        names::{Name, NoName},
    },
    core::plan::Plan,
    time_text::TimeForm,
};

#[derive(clap::Args, Debug)]
pub(super) struct FileArgs {
    /// What separates cells: comma, semicolon, tab, pipe, or an ASCII punctuation character other than
    /// "'-+._:@ [default: the one of , ; tab | with which the header has its columns]
    #[arg(long, value_name = "CHARACTER", value_parser = parse_delimiter)]
    delimiter: Option<u8>,
    /// What the header calls columns, e.g. member=ID,sponsor=ParentID
    #[arg(long, value_name = "COLUMN=NAME", value_delimiter = ',')]
    columns: Vec<String>,
    /// The same of the file of bonuses
    #[arg(long, value_name = "COLUMN=NAME", value_delimiter = ',', requires = "bonuses")]
    bonus_columns: Vec<String>,
    /// The form of all times, as strftime has it, e.g. %d/%m/%Y; without %z or %Q they are in UTC
    #[arg(long, value_name = "FORM", value_parser = TimeForm::new)]
    time_format: Option<TimeForm>,
    /// Sponsors and parents that stand for none, e.g. 0,NULL,\N,-; in other columns they are empty cells
    #[arg(long, value_name = "MARK", value_delimiter = ',', allow_hyphen_values = true)]
    root_marks: Vec<String>,
    /// The sponsor of every other member that names none
    #[arg(long, value_name = "MEMBER", value_parser = parse_name)]
    default_sponsor: Option<Name>,
    /// Take a member that is its own sponsor as a root
    #[arg(long)]
    own_sponsor_is_root: bool,
    /// Set status and role of members that are there already to what the file says
    #[arg(long)]
    update: bool,
}

fn parse_name(text: &str) -> Result<Name, String> {
    Name::parse(text).map_err(|reason| match reason {
        NoName::Text => "not a name of 1 to 255 bytes".into(),
        NoName::AlmostId => "the digits of a UUID, but in no form of one".into(),
    })
}

impl FileArgs {
    /// Returns the layout of a member file.
    pub fn member_layout(&self) -> Result<Layout, Failure> {
        self.layout(&MEMBER_COLUMNS, &self.columns, "--columns")
    }

    /// Returns the layout of a bonus file.
    pub fn bonus_layout(&self) -> Result<Layout, Failure> {
        self.layout(&BONUS_COLUMNS, &self.bonus_columns, "--bonus-columns")
    }

    fn layout(
        &self,
        columns: &'static [(&'static str, bool)],
        pairs: &[String],
        flag: &'static str,
    ) -> Result<Layout, Failure> {
        let layout = Layout::new(columns).given(self.delimiter, flag, pairs);
        layout.map_err(|reason| Failure::new(Exit::Usage, reason))
    }

    /// Returns the reading options for a network of this plan.
    pub fn reading(&self, plan: &Plan) -> Reading {
        Reading {
            own_sponsor_is_root: self.own_sponsor_is_root,
            update: self.update,
            root_marks: self.root_marks.clone(),
            default_sponsor: self.default_sponsor.clone(),
            time_form: self.time_format.clone(),
            is_binary: plan.placement.width == Some(2),
        }
    }
}
